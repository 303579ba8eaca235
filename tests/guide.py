"""Does what the integration guide says: its blocks, marked by comments, run in order in one shell and one folder."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hooks.tools.ports import is_free
from tests.conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path(__file__).parent.parent / "docs" / "integration.md"
HOST = "127.0.0.1"
PORTS = ("8080", "8081", "8090", "8091")
"""The ports that the guide names."""
READY = {"sandbox": "Stop with Ctrl-C", "serve": "/cds-services"}
"""What a server says when it can be asked."""

_STEP = re.compile(
    r"^<!-- (run beside|run|write|prints)(?: ([\w.]+))?(?:, ends with (\d))? -->\n```\w+\n(.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_END = "-- done --"


def kept_free() -> Iterator[str]:
    """Ports that are free and stay so: below those that the system gives to whoever asks for any."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 1000):
        if is_free(HOST, port):
            yield str(port)


@dataclass(frozen=True, slots=True)
class Step:
    """One marked block: what to do with it, its text, the file that it is, the exit code that it ends with."""

    kind: str
    text: str
    file: str = ""
    code: int = 0


def steps(page: Path = PAGE) -> list[Step]:
    """Give the marked blocks of a page, in order."""
    found = _STEP.findall(page.read_text(encoding="utf-8"))
    return [Step(kind, text, file, int(code or 0)) for kind, file, code, text in found]


@dataclass
class Reader:
    """Somebody who follows the guide in a folder of their own; `said` is what the last command printed."""

    folder: Path
    ports: Mapping[str, str] = field(default_factory=lambda: dict(zip(PORTS, kept_free(), strict=False)))
    said: str = ""
    beside: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the shell, with `oncobone` on its path."""
        binaries = self.folder / "bin"
        binaries.mkdir()
        script = binaries / "oncobone"
        script.write_text(
            f"#!{sys.executable}\nfrom hooks.tools.cli import main\nmain(prog_name='oncobone')\n", encoding="utf-8"
        )
        script.chmod(0o755)
        path = os.pathsep.join([str(binaries), os.environ["PATH"]])
        self.environ = environment(PATH=path, NO_PROXY=HOST, no_proxy=HOST)
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],  # noqa: S607 - the reader's own shell
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def here(self, text: str) -> str:
        """Write the ports of this machine in the place of the printed ones."""
        return re.sub("|".join(self.ports), lambda found: self.ports[found[0]], text)

    def follow(self, step: Step) -> None:
        """Do a step; raises AssertionError when it does not do what the page says."""
        text = self.here(step.text)
        if step.kind == "write":
            (self.folder / step.file).write_text(text, encoding="utf-8")
        elif step.kind == "prints":
            for line in text.splitlines():
                assert line in self.said, f"not printed: {line}\n{self.said[-1500:]}"
        elif step.kind == "run beside":
            self._begin(text)
        else:
            code = self.run(text)
            assert code == step.code, f"{text}ended with {code}:\n{self.said[-1500:]}"

    def run(self, text: str) -> int:
        """Run commands in the shell; give the code of the first that fails, else 0."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        failed = "failed=0; trap 'code=$?; [ $failed != 0 ] || failed=$code' ERR; set -o pipefail"
        self.shell.stdin.write(f"{failed}\n{text}\necho\necho '{_END}' $failed\n")
        self.shell.stdin.flush()
        self.said = ""
        for line in self.shell.stdout:
            if line.startswith(_END):
                return int(line.split()[-1])
            self.said += line
        raise AssertionError(f"the shell ended: {self.said[-1500:]}")

    def _begin(self, text: str) -> None:
        ready = next(told for word, told in READY.items() if f"oncobone {word}" in text)
        with (self.folder / f"beside-{len(self.beside)}.log").open("w") as errors:
            process = subprocess.Popen(  # noqa: S603 - the guide's own command
                ["bash", "-c", f"exec {text.strip()}"],  # noqa: S607 - as a reader has it
                cwd=self.folder,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.beside.append(process)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if ready in line:
                return
        raise AssertionError(f"{text} did not start: {said}")

    def leave(self) -> None:
        """Close the shell and stop what runs beside it."""
        self.shell.kill()
        for process in (*self.beside, self.shell):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
