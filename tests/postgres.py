"""A real PostgreSQL for tests, from the system's binaries: a cluster of its own on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

# initdb refuses to run as root; this user owns nothing on the machine.
UNPRIVILEGED = "nobody"


def binary(name: str) -> str | None:
    """The path of one of PostgreSQL's programs; distributions keep them out of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(places[0]) if places else None)


def needed() -> None:
    """Skips the test when there is no PostgreSQL on this machine; in CI it fails."""
    missing = [name for name in ("initdb", "postgres") if binary(name) is None]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        missing.append("setpriv")
    if missing:
        reason = f"PostgreSQL's {' and '.join(missing)} are not installed on this machine"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


class Cluster:
    """
    A cluster in a temporary directory; `url` names its database, `start` and `stop` its server.

    Only a `durable` one waits for the disk: tests that make and drop many databases need not.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self.directory = Path(tempfile.mkdtemp(prefix="oncobone-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self.directory, UNPRIVILEGED)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = self.directory / "data"
        self._server: subprocess.Popen[bytes] | None = None
        self._run([binary("initdb") or "", "-D", str(self.data), "-U", "oncobone", "-A", "trust", "--no-sync"])

    @property
    def url(self) -> str:
        """Of its default database."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """The URL of a database of this name."""
        return f"postgresql://oncobone@127.0.0.1:{self.port}/{name}"

    def fresh(self, name: str) -> str:
        """Makes an empty database and gives its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.database(name)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}"]
        options += ["-c", f"fsync={'on' if self._durable else 'off'}"]
        self._server = subprocess.Popen(  # noqa: S603 - programs of the system, found above
            self._as_user([binary("postgres") or "", "-D", str(self.data), "-p", str(self.port), *options]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.directory,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Ends the server, breaking off its connections."""
        self.send(signal.SIGINT)
        if self._server:
            self._server.wait(60)
            self._server = None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the main server process."""
        if self._server:
            self._server.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to each of its processes; each connection has one of its own."""
        if not self._server:
            return
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split()
        for pid in [self._server.pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Ends it without warning, as a crash would."""
        self.signal_all(signal.SIGKILL)
        if self._server:
            self._server.wait(60)
            self._server = None

    def remove(self) -> None:
        """Ends the server at once and deletes everything."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def _as_user(command: list[str]) -> list[str]:
        if os.geteuid() != 0:
            return command
        # setpriv replaces itself by the program, so that signals reach the server.
        return ["setpriv", f"--reuid={UNPRIVILEGED}", "--regid=nogroup", "--clear-groups", *command]

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(  # noqa: S603 - as in start
            self._as_user(command), capture_output=True, cwd=self.directory, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr.decode()}")
