"""The way into the command `oncobone`: what needs no rules is answered before the rules are read."""

from __future__ import annotations

import sys
from importlib.metadata import version


def main() -> None:
    """Answer `--version` at once; else run the command line, which reads rules and tables first."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"oncobone, version {version('oncobone')}\n")
        return
    from hooks.tools.cli import main as command_line  # noqa: PLC0415 - two seconds of reading that a version can do without

    command_line(prog_name="oncobone")
