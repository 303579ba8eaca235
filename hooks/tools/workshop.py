"""The commands for the engineer who connects an EHR: validate, doctor, sandbox, catalogue, facts."""

from __future__ import annotations

import datetime as dt
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click

from fhir_mapping.terms.site import site_mapping
from hooks.configuration import load
from hooks.errors import Refused
from hooks.reference import catalogue, explaining, samples, validating
from hooks.settings import Settings, SettingsError
from hooks.terminal import (
    REFUSED,
    InputFile,
    Progress,
    ca_option,
    config_option,
    harmless,
    json_option,
    patience,
    refuse,
    show_json,
)
from hooks.tools import doctor, loading, sandbox


def _settings(config: str | None, ca_file: str | None = None) -> Settings:
    try:
        return load({"config": config, "auth": "open", "ca_file": ca_file})
    except SettingsError as error:
        refuse(str(error))


@click.command()
@click.argument("file", type=InputFile(), metavar="FILE")
@json_option
@config_option
def validate(file: BinaryIO, raw: bool, config: str | None) -> None:
    """
    Tell what would be used of a request or a FHIR Bundle.

    FILE is a CDS Hooks request or a Bundle with one Patient; - for stdin. Exit code 0: nothing is lost;
    1: it is refused, or something that was sent cannot be used.
    """
    settings = _settings(config)
    try:
        look = validating.look_at_text(file.read(), settings, site_mapping(settings.mapping))
    except Refused as refused:
        if raw:
            show_json({"fine": False, "refused": refused.status, "diagnostics": refused.diagnostics})
            sys.exit(REFUSED)
        refuse(f"Refused ({refused.status}): {refused.diagnostics}")
    if raw:
        show_json(validating.as_json(look))
    else:
        for line in validating.as_text(look):
            click.echo(harmless(line))
    if not look.fine:
        sys.exit(REFUSED)


@click.command("doctor")
@click.option("--fhir", "base", required=True, metavar="BASE", help="The FHIR base, such as https://ehr.example/fhir.")
@click.option("--patient", "patients", multiple=True, metavar="ID", help="A patient to look at; may be repeated.")
@click.option("--sample", "count", type=click.IntRange(1, 500), default=20, show_default=True, help="Else so many.")
@click.option("--token", metavar="TOKEN", help="An access token for the FHIR server.")
@click.option("--draft", type=click.File("w", encoding="utf-8"), metavar="FILE", help="Write the mapping's draft here.")
@ca_option
@json_option
@config_option
def doctor_command(
    base: str,
    patients: tuple[str, ...],
    count: int,
    token: str | None,
    draft: TextIO | None,
    ca_file: str | None,
    raw: bool,
    config: str | None,
) -> None:
    """
    Ask a FHIR server whether it can give us what we need.

    Looks at its CapabilityStatement, our searches, paging, codes that no rule reads, and how many of the expected
    facts are found; drafts the site's mapping. Exit code 0: the service can work with it; 1: it cannot.
    """
    settings = _settings(config, ca_file)
    try:
        found = doctor.Doctor(base, token, settings, site_mapping(settings.mapping))
        with patience(f"Asking {base}"):
            found.capability()
            ids = list(patients) or found.some_patients(count)
        with Progress() as progress:
            for done, patient in enumerate(ids, 1):
                found.patient(patient)
                progress("Looking at patients", done, len(ids))
        with patience(f"Asking {base}"):
            found.paging()
        report = found.finish()
    except Refused as refused:
        refuse(refused.diagnostics)
    if draft is not None:
        draft.write(doctor.draft(report))
    if raw:
        show_json(doctor.as_json(report))
    else:
        for line in doctor.as_text(report, settings.fetch_seconds):
            click.echo(harmless(line))
        if draft is None:
            click.echo("")
            click.echo(harmless(doctor.draft(report)), nl=False)
    if not report.fit:
        sys.exit(REFUSED)


@click.command("catalogue")
@json_option
def catalogue_command(raw: bool) -> None:
    """Write the rule catalogue as Markdown."""
    with patience("Writing the catalogue"):
        if raw:
            show_json(catalogue.as_json())
        else:
            click.echo(catalogue.markdown(), nl=False)


@click.command("samples")
@click.option("--load", "base", metavar="BASE", help="Load them into this FHIR server.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write them as Bundles.")
@click.option("--requests", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write CDS requests.")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day of the stories; default today.")
@click.option("--token", metavar="TOKEN", help="With --load: an access token that may write.")
@ca_option
@json_option
@config_option
def samples_command(
    base: str | None,
    out: Path | None,
    requests: Path | None,
    names: tuple[str, ...],
    day: dt.datetime | None,
    token: str | None,
    ca_file: str | None,
    raw: bool,
    config: str | None,
) -> None:
    """
    List the synthetic sample patients, load them into a FHIR server, or write them as Bundles or requests.

    Exit code 1: the server does not take them, or has other patients under their ids.
    """
    trusted = _settings(config, ca_file).ca_file
    today = day.date() if day else dt.datetime.now(dt.UTC).date()
    chosen = _chosen(names)
    rows = [(one, one.patient_id) for one in chosen]
    if out is not None:
        _write(out, {one.name: loading.as_transaction(one, today) for one in chosen})
    if requests is not None:
        _write(requests, {one.name: samples.request_for(one.name, day=today) for one in chosen})
    if base is not None:
        rows = [(one.sample, one.patient_id) for one in _loaded(base, today, chosen, token, trusted)]
    if raw:
        show_json([{"patient": patient, "hook": one.hook, "name": one.name} | dict(one.story) for one, patient in rows])
        return
    for one, patient in rows:
        click.echo(f"{patient}  {one.hook:<15} {one.name}: {one.story['en']}")
    if base is not None:
        click.echo(f"{len(rows)} patients are at {base}, as of {today.isoformat()}.")


def _write(folder: Path, files: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        text = json.dumps(value, ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


def _chosen(names: tuple[str, ...]) -> list[samples.Sample]:
    try:
        return [samples.sample(name) for name in names] or list(samples.samples())
    except KeyError as error:
        raise click.UsageError(f"--name: {error.args[0]}") from None


def _loaded(
    base: str, today: dt.date, chosen: list[samples.Sample], token: str | None, ca_file: str | None
) -> list[loading.Loaded]:
    try:
        with click.progressbar(length=len(chosen), label="Loading patients", file=sys.stderr) as bar:
            return loading.load(base, today, chosen, token=token, ca_file=ca_file, told=lambda _: bar.update(1))
    except loading.LoadError as error:
        refuse(str(error))


@click.command("sandbox")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The service's port.")
@click.option("--fhir-port", type=click.IntRange(1, 65535), default=8090, show_default=True, help="The FHIR server's.")
@click.option("--ehr-port", type=click.IntRange(1, 65535), help="The little EHR's; default a free one.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day of the stories; default today.")
def sandbox_command(port: int, fhir_port: int, ehr_port: int | None, day: dt.datetime | None) -> None:
    """Run a FHIR server with the sample patients, and the service, with a little EHR to launch from, until Ctrl-C."""
    today = day.date() if day else dt.datetime.now(dt.UTC).date()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped in any way, both servers stop too
    try:
        with sandbox.running(port, fhir_port, today, click.echo, ehr_port) as at:
            for line in what_to_try(at):
                click.echo(line)
            while True:
                time.sleep(1)
    except (sandbox.SandboxError, loading.LoadError) as error:
        refuse(str(error))
    except KeyboardInterrupt:
        click.echo("Stopped; nothing is kept.")


def what_to_try(at: sandbox.Addresses) -> list[str]:
    """Say what can be done with a running sandbox."""
    first = samples.samples()[0]
    return [
        "",
        f"The console:    {at.service}/",
        f"The rules:      {at.service}/rules",
        f"The services:   {at.service}/cds-services",
        f"The FHIR base:  {at.fhir} (patients: {at.fhir}/Patient)",
        f"A little EHR:   {at.ehr}/ (launches the dossier and its questions as a SMART app)",
        "",
        "One call, with data that the service fetches itself:",
        f"  oncobone call --url {at.service} --fhir {at.fhir} --patient {first.patient_id} --hook {first.hook}",
        "Can this server give us what we need?",
        f"  oncobone doctor --fhir {at.fhir}",
        "",
        "Stop with Ctrl-C; nothing is kept.",
    ]


@click.command()
@json_option
def facts(raw: bool) -> None:
    """List the facts that may be asked about a patient."""
    entries = explaining.dictionary()
    if raw:
        show_json(entries)
        return
    for entry in entries:
        kind = (
            entry.get("unit") or ", ".join(entry.get("words", ())) or {"moment": "date"}.get(entry["kind"], "yes / no")
        )
        marks = [
            text for key, text in (("derived", "derived"), ("silence_means_no", "silence means no")) if entry.get(key)
        ]
        yes = f" ({'; '.join(marks)})" if marks else ""
        click.echo(f"{entry['name']}  [{kind}]{yes}  {entry['en']} / {entry['zh-CN']}")
