"""The commands `oncobone replay …`."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from hooks.configuration import load
from hooks.replay import comparing, engines, fetching, plan, running, sources, summary
from hooks.replay.errors import ReplayError
from hooks.settings import HOOKS, Settings, SettingsError
from hooks.store.chain import AuditKeyError
from hooks.store.database import StoreError, StoreUnavailable
from hooks.store.store import store_for
from hooks.terminal import InputFile, Progress, config_option, json_option, language_option, patience, refuse, show_json

if TYPE_CHECKING:
    from hooks.cards.wording import Language
    from hooks.replay.population import Mix
    from hooks.store.store import Store
    from recommenders.vocabulary.guidance import Hook

TENANT = "replay"
DAY = click.DateTime(["%Y-%m-%d"])
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group("replay")
def commands() -> None:
    """
    Ask what the service would have said of a whole population.

    \b
    Exit codes: 0 done; 1 refused (input, settings, over budget); 2 used wrongly; 3 done, but something was left out.
    """


@commands.command("run")
@click.argument("source", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--fhir", "base", metavar="BASE", help="Instead of files: a FHIR server, for up to some thousand patients."
)
@click.option("--fhir-token", metavar="TOKEN", help="With --fhir: its access token.")
@click.option("--to", required=True, type=FOLDER, metavar="DIR", help="Where the tables go: an empty folder.")
@click.option("--day", type=DAY, help="The day that is asked; default: the day of the export, else today.")
@click.option("--days", "span", metavar="A..B", help="The first and the last day.")
@click.option("--every", metavar="STEP", help="With --days: 1d, 1w (default), 1m …")
@click.option("--calls", "asked", metavar="encounters,orders", help="Ask the chart's own past calls instead of days.")
@click.option("--hook", "hooks", type=click.Choice(HOOKS), multiple=True, help="Default: patient-view; order-sign.")
@click.option("--all-patients", is_flag=True, help="Judge everybody, also those the screen would leave out.")
@click.option("--arm", "arms", multiple=True, metavar="NAME=site.toml", help="Settings to compare; may be repeated.")
@click.option("--guidance-day", type=DAY, help="The day whose limits count; default: the day of each call.")
@click.option("--engine", default="local", show_default=True, metavar="NAME", help="local or spark.")
@click.option("--master", metavar="URL", help="With --engine spark: the cluster; default: this machine.")
@click.option("--workers", type=click.IntRange(1, 256), help="How many processes; default: one for each processor.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Only so many patients, chosen by --seed.")
@click.option("--seed", type=int, default=0, show_default=True, help="For the sample and the check of the screen.")
@click.option("--link", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write who is who here.")
@json_option
@config_option
def run_command(
    source: tuple[Path, ...],
    base: str | None,
    fhir_token: str | None,
    to: Path,
    day: dt.datetime | None,
    span: str | None,
    every: str | None,
    asked: str | None,
    hooks: tuple[Hook, ...],
    all_patients: bool,
    arms: tuple[str, ...],
    guidance_day: dt.datetime | None,
    engine: str,
    master: str | None,
    workers: int | None,
    sample: int | None,
    seed: int,
    link: Path | None,
    raw: bool,
    config: str | None,
) -> None:
    """
    Judge a population: files or folders of a Bulk Data export, of SMART Fetch, or of Bundles.

    A run that was stopped goes on where it stopped when the same command is given again.
    """
    if bool(source) == bool(base):
        raise click.UsageError("give files or folders, or --fhir BASE")
    if link is not None and link.resolve().is_relative_to(to.resolve()):
        raise click.UsageError("--link: keep who is who apart from the tables, in another folder")
    try:
        settings = _arms(arms, config)
        main = next(iter(settings.values()))
        with ExitStack() as stack:
            store = stack.enter_context(closing(store_for(main)))
            progress = stack.enter_context(Progress())
            if base is not None:
                source = (stack.enter_context(fetching.fetched(base, fhir_token, progress, main.ca_file)),)
            outcome = _run(
                source, to, day, span, every, asked, hooks, settings, store, progress,
                all_patients=all_patients, guidance_day=guidance_day, engine=engine, master=master,
                workers=workers, sample=sample, seed=seed, link=link,
            )  # fmt: skip
    except (ReplayError, SettingsError, StoreError, AuditKeyError, OSError) as error:
        refuse(str(error))
    except StoreUnavailable as error:
        refuse(f"{error} Nobody is judged without an entry in the audit record.")
    if raw:
        show_json(summary.as_json(to) | {"left_out": list(outcome.left_out)})
    else:
        for line in summary.text(to, main.language):
            click.echo(line)
    for line in outcome.left_out:
        click.echo(f"Left out: {line}", err=True)
    sys.exit(outcome.code)


def _run(
    source: tuple[Path, ...],
    to: Path,
    day: dt.datetime | None,
    span: str | None,
    every: str | None,
    asked: str | None,
    hooks: Sequence[Hook],
    arms: Mapping[str, Settings],
    store: Store,
    progress: Progress,
    *,
    all_patients: bool,
    guidance_day: dt.datetime | None,
    engine: str,
    master: str | None,
    workers: int | None,
    sample: int | None,
    seed: int,
    link: Path | None,
) -> running.Outcome:
    main = next(iter(arms.values()))
    calls = plan.calls_of(asked)
    found = sources.survey(source)
    transaction = running.transaction_of(found, main.zone)
    today = (transaction or main.moment()).astimezone(main.zone).date()
    made = plan.Plan(
        days=plan.days_of(day.date() if day else None, span, every, today, calls),
        hooks=plan.hooks_of(hooks, calls),
        arms=arms,
        calls=calls,
        transaction=transaction,
        guidance_day=guidance_day.date() if guidance_day else None,
        all_patients=all_patients,
        sample=sample,
        seed=seed,
    )
    chosen = engines.engine_of(engine, workers=workers or os.cpu_count() or 1, master=master)

    def record(entry: Mapping[str, Any]) -> None:
        who = store.chain.pseudonym(TENANT, "user", _user())
        store.append_audit(TENANT, {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "user": who, **entry})

    try:
        return running.run(
            made, found, to, chosen, key=store.chain.key_for("replay"), progress=progress, record=record, link=link
        )
    finally:
        chosen.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have users without names
        return f"uid {os.getuid()}"


def _arms(told: Sequence[str], config: str | None) -> dict[str, Settings]:
    """Read the settings of each arm; they share one mapping, time zone and database."""
    if not told:
        return {plan.DEFAULT_ARM: load({"config": config, "auth": "open"})}
    found: dict[str, Settings] = {}
    for one in told:
        name, separator, path = one.partition("=")
        if not separator or not name.isidentifier() or name in found:
            raise ReplayError(f"--arm: {one!r}: write NAME=FILE, each name once, such as strict=strict.toml.")
        found[name] = load({"config": path or config, "auth": "open"})
    first, *others = found.values()
    if any((one.mapping, one.timezone) != (first.mapping, first.timezone) for one in others):
        raise ReplayError(
            "--arm: the arms' files differ in mapping or time zone; a chart is read once for all of them."
        )
    return found


# --- looking at results -------------------------------------------------------------------------------------


@commands.command("show")
@click.argument("folder", type=EXISTING, metavar="DIR")
@click.option(
    "--budget", "budgets", multiple=True, metavar="interruptive=5/100", help="Refuse (1) when there are more."
)
@language_option
@json_option
def show_command(folder: Path, budgets: tuple[str, ...], language: Language | None, raw: bool) -> None:
    """Say what a run found; with --budget, a gate for a site's own checks."""
    try:
        if raw:
            show_json(summary.as_json(folder))
        else:
            for line in summary.text(folder, language or "en"):
                click.echo(line)
        over = [line for budget in budgets for line in summary.over_budget(folder, budget)]
    except ReplayError as error:
        refuse(str(error))
    if over:
        refuse("\n".join(over))


@commands.command("report")
@click.argument("folder", type=EXISTING, metavar="DIR")
@click.option("--to", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The page.")
@click.option("--against", type=EXISTING, metavar="DIR", help="An older run of the same question, for what changed.")
@click.option("--share", is_flag=True, help="Suppress counts up to 7 and round the others to 5.")
@click.option("--charts", "pictures", type=FOLDER, metavar="DIR", help="Write each chart as an SVG file here as well.")
@language_option
def report_command(
    folder: Path, to: Path, against: Path | None, share: bool, pictures: Path | None, language: Language | None
) -> None:
    """Write one HTML page, with its charts inside; nothing of it is fetched from elsewhere."""
    from hooks.replay import report  # noqa: PLC0415 - draws: only here

    try:
        with patience("Drawing the charts"):
            to.write_text(report.page(folder, language or "en", against=against, share=share), encoding="utf-8")
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            for name, svg in report.charts(folder, language or "en", share=share).items():
                (pictures / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    except (ReplayError, OSError) as error:
        refuse(str(error))
    click.echo(f"Written: {to}", err=True)


@commands.command("diff")
@click.argument("old", type=EXISTING)
@click.argument("new", type=EXISTING)
@click.option("--arms", metavar="OLD,NEW", help="Which arm of each; default: the first.")
@click.option("--to", type=FOLDER, metavar="DIR", help="Write changes.parquet here.")
@language_option
@json_option
def diff_command(old: Path, new: Path, arms: str | None, to: Path | None, language: Language | None, raw: bool) -> None:
    """Say what changed between two runs of one question: two editions, or two settings."""
    try:
        chosen = comparing.arms_of(old, new, arms)
        with patience("Comparing"):
            found = comparing.as_json(old, new, chosen, to) if raw else None
            lines = [] if raw else list(comparing.text(old, new, chosen, to, language or "en"))
        if raw:
            show_json(found)
        for line in lines:
            click.echo(line)
    except ReplayError as error:
        refuse(str(error))


@commands.command("cohort")
@click.argument("folder", type=EXISTING, metavar="DIR")
@click.option("--rule", required=True, metavar="ID", help="A rule, such as BP-001.")
@click.option("--state", type=click.Choice(["fired", "undecided", "suppressed", "superseded"]), default="fired")
@click.option("--missing", metavar="FACT", help="Of the undecided only those that wait for this fact.")
@click.option("--arm", metavar="NAME", help="Which arm; default: the first.")
@click.option("--link", type=InputFile(), metavar="FILE", help="Give ids, not pseudonyms; - for stdin.")
@json_option
def cohort_command(
    folder: Path, rule: str, state: str, missing: str | None, arm: str | None, link: BinaryIO | None, raw: bool
) -> None:
    """List the patients of whom a rule says something on the last day: who has an unmet need, who waits for a fact."""
    try:
        names = running.read_link(link.read()) if link is not None else {}
        found = [names.get(patient, patient) for patient in summary.cohort(folder, rule, state, missing, arm)]
    except ReplayError as error:
        refuse(str(error))
    if raw:
        show_json(found)
    else:
        for patient in found:
            click.echo(patient)


@commands.command("population")
@click.option("--patients", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--day", type=DAY, help="The day of the export; default 2026-11-22.")
@click.option(
    "--ours", type=click.FloatRange(0, 100), default=10, show_default=True, help="Per cent with a disease of ours."
)
@click.option(
    "--mix", type=click.Choice(["routine", "stories"]), default="routine", help="As in a hospital, or only stories."
)
@click.option("--to", required=True, type=FOLDER, metavar="DIR", help="Where the files go: an empty folder.")
def population_command(patients: int, seed: int, day: dt.datetime | None, ours: float, mix: Mix, to: Path) -> None:
    """Make a synthetic population, as a Bulk Data export: nobody in it is a real person."""
    from hooks.replay import population  # noqa: PLC0415 - only here

    try:
        with Progress() as progress:
            population.write(
                to, patients, seed=seed, day=day.date() if day else None, ours=ours / 100, mix=mix,
                progress=lambda done: progress("making patients", done, patients),
            )  # fmt: skip
    except (ReplayError, OSError) as error:
        refuse(str(error))
    click.echo(f"Written: {to}", err=True)
