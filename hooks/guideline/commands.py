"""The command `oncobone export`: the knowledge, for engines and authors elsewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from hooks.guideline.package import BASE, write

_ADDRESS = re.compile(r"https?://[^\s|#?]+|urn:[a-z0-9][a-z0-9-]*:[^\s|#?]+")


@click.group()
def export() -> None:
    """Write the rules for others to read."""


@export.command("cpg")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR")
@click.option("--canonical", default=BASE, show_default=True, metavar="URI", help="Where the definitions are named.")
def cpg(folder: Path, canonical: str) -> None:
    """
    Write the rules as a FHIR R4 package into DIR/package.

    A PlanDefinition for each rule and topic, an ActivityDefinition for what may be proposed, the conditions in CQL
    and ELM for the rules that are stated so, sources and evidence, in English and Chinese.
    """
    base = canonical.rstrip("/")
    if not _ADDRESS.fullmatch(base):
        raise click.BadParameter("an http(s) address or a URN, without ?, # and |.", param_hint="--canonical")
    try:
        count = write(folder, base)
    except OSError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo(f"{count} resources in {folder / 'package'}; `tar czf guideline.tgz -C {folder} package` packs them.")
