"""The commands `serve` and `config check`: start a server, or say whether it would start."""

from __future__ import annotations

import sys

import click

from hooks.configuration import load
from hooks.running.serving import serve as serve_for_real
from hooks.settings import SettingsError
from hooks.terminal import REFUSED, config_option, json_option, refuse, show_json


@click.command()
@click.option("--host", help="Where to listen (ONCOBONE_HOST, default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Which port (ONCOBONE_PORT, default 8080); 0: a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes (ONCOBONE_WORKERS, default 1).")
@config_option
def serve(host: str | None, port: int | None, workers: int | None, config: str | None) -> None:
    """Serve the CDS services until SIGTERM or Ctrl-C."""
    flags = {"host": host, "port": port, "workers": workers, "config": config}
    try:
        serve_for_real(load(flags), again=lambda: load(flags))
    except SettingsError as error:
        refuse(str(error))


@click.group("config")
def config_group() -> None:
    """Look after the settings."""


@config_group.command("check")
@json_option
@config_option
def config_check(raw: bool, config: str | None) -> None:
    """
    Say whether a server would start with these settings, and what each of them comes to.

    Nothing is started, made or contacted. Exit code 1 when it would not start.
    """
    from hooks.tools import checking  # noqa: PLC0415 - `serve` starts without reading it

    try:
        report = checking.check(load({"config": config}))
    except SettingsError as error:
        if raw:
            show_json({"good": False, "problems": str(error).splitlines()})
            sys.exit(REFUSED)
        refuse(str(error))
    if raw:
        show_json(checking.as_json(report))
    else:
        for line in checking.as_text(report):
            click.echo(line)
    if report.problems:
        sys.exit(REFUSED)
