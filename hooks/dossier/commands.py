"""The command `oncobone dossier`: one request in, one page out, as a file that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from hooks.configuration import load
from hooks.dossier.page import whole_page
from hooks.dossier.whole import dossier_of
from hooks.errors import Refused
from hooks.settings import SettingsError
from hooks.terminal import config_option, language_option, patience, refuse, request_option
from hooks.views import Desk

if TYPE_CHECKING:
    from hooks.cards.wording import Language


@click.command()
@request_option
@click.option("-o", "--output", type=click.File("wb"), default="-", metavar="FILE", help="The page (default: stdout).")
@language_option
@config_option
def dossier(file: BinaryIO, output: BinaryIO, language: Language | None, config: str | None) -> None:
    """Write everything that stands behind a call's cards as one page: self-contained, without a script, for print."""
    try:
        settings = load({"config": config, "auth": "open"})
        with patience("Writing the dossier"):
            page = whole_page(dossier_of(Desk.of(settings), file.read(), language or settings.language))
    except SettingsError as error:
        refuse(str(error))
    except Refused as refused:
        refuse(f"Refused ({refused.status}): {refused.diagnostics}")
    output.write(page.encode())
