"""The command `oncobone dossier`: one request in, one page out, as a file that needs nothing else."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from hooks.cards.wording import LANGUAGES, Language
from hooks.configuration import load
from hooks.dossier.page import whole_page
from hooks.dossier.whole import dossier_of
from hooks.errors import Refused
from hooks.settings import SettingsError
from hooks.views import Desk


@click.command()
@click.option(
    "--request", "file", type=click.File("rb"), required=True, metavar="FILE", help="A CDS Hooks request; - for stdin."
)
@click.option("-o", "--output", type=click.File("wb"), default="-", metavar="FILE", help="The page (default: stdout).")
@click.option("--language", type=click.Choice(LANGUAGES), help="The reader's language.")
@click.option("--config", metavar="FILE", help="The TOML file (ONCOBONE_CONFIG).")
def dossier(file: BinaryIO, output: BinaryIO, language: Language | None, config: str | None) -> None:
    """Write everything that stands behind a call's cards as one page: self-contained, without a script, for print."""
    try:
        settings = load({"config": config, "auth": "open"})
        found = dossier_of(Desk.of(settings), file.read(), language or settings.language)
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except Refused as refused:
        click.echo(f"Refused ({refused.status}): {refused.diagnostics}", err=True)
        sys.exit(1)
    output.write(whole_page(found).encode())
