"""The commands `call` and `explain`: what the service makes of a request, here or where it runs."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import requests

from hooks.application import create_app
from hooks.configuration import load
from hooks.errors import Refused
from hooks.fhir_server.addresses import as_written
from hooks.fhir_server.one_get import is_untrusted
from hooks.reference import explaining
from hooks.settings import HOOKS, Settings, SettingsError, is_loopback
from hooks.terminal import (
    REFUSED,
    InputFile,
    ca_option,
    config_option,
    harmless,
    json_option,
    language_option,
    patience,
    refuse,
    request_option,
    show_json,
)
from hooks.views import Desk
from recommenders.vocabulary.guidance import ORDER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hooks.cards.wording import Language
    from hooks.services import Service
    from recommenders.vocabulary.guidance import Hook

TIMEOUT_S = 30
UNAUTHORIZED = 401
NOT_FOUND = 404
SIGNS = {"critical": ("CRITICAL", "red"), "warning": ("WARNING", "yellow"), "info": ("INFO", "cyan")}
OUTCOMES = ("fired", "suppressed", "superseded")

service_option = click.option("--service", metavar="ID", help="The service; else the one for the request's hook.")


def _settings(**flags: object) -> Settings:
    try:
        return load(flags)
    except SettingsError as error:
        refuse(str(error))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered."""

    status: int
    body: Any


@click.command()
@click.option("--request", "file", type=InputFile(), metavar="FILE", help="A CDS Hooks request; - for stdin.")
@click.option("--fhir", "base", metavar="BASE", help="Instead: a FHIR base, whose data the service fetches itself.")
@click.option("--patient", metavar="ID", help="With --fhir: the patient.")
@click.option("--hook", type=click.Choice(HOOKS), help="With --fhir: the hook (default patient-view).")
@click.option("--drafts", type=InputFile(), metavar="FILE", help="With --fhir, on order hooks: draftOrders.")
@click.option("--fhir-token", metavar="TOKEN", help="With --fhir: its access token (without --url, --token will do).")
@click.option("--url", metavar="BASE", help="A running service, such as http://127.0.0.1:8080; else in this process.")
@click.option("--token", metavar="JWT", help="A bearer token, for a service in signed mode.")
@ca_option
@service_option
@language_option
@json_option
@config_option
def call(
    file: BinaryIO | None,
    base: str | None,
    patient: str | None,
    hook: Hook | None,
    drafts: BinaryIO | None,
    fhir_token: str | None,
    url: str | None,
    token: str | None,
    ca_file: str | None,
    service: str | None,
    language: Language | None,
    raw: bool,
    config: str | None,
) -> None:
    """Send a request to a service and show its cards; the request is a file, or made for a patient on a FHIR server."""
    if (file is None) == (base is None):
        raise click.UsageError("give either --request FILE or --fhir BASE with --patient ID")
    if file is not None:
        body = file.read()
    else:
        if patient is None:
            raise click.UsageError("--fhir needs --patient ID")
        base = as_written(str(base))
        body = made_request(base, patient, hook or "patient-view", fhir_token or (None if url else token), drafts)
    headers = {"Content-Type": "application/json"}
    headers |= {"Accept-Language": language} if language else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    address = service_base(url) if url else None
    with patience(f"Waiting for {address or base or 'the answer'}"):
        if address:
            answered = _ask(address, service, body, headers, _settings(config=config, ca_file=ca_file).ca_file)
        else:
            answered = _ask_here(_settings(config=config, ca_file=ca_file, auth="open"), service, body, headers, base)
    if raw:
        show_json(answered.body)
    elif answered.status == 200:
        for line, colour in _readable(answered.body):
            click.echo(click.style(harmless(line), fg=colour, bold=True) if colour else harmless(line))
    else:
        _say_why(answered, address, token)
    if answered.status != 200:
        sys.exit(REFUSED)


def _say_why(answered: Answer, address: str | None, token: str | None) -> None:
    click.echo(harmless(f"Refused ({answered.status}): {_diagnostics(answered.body)}"), err=True)
    if address and answered.status == UNAUTHORIZED:
        click.echo(_about_token(token, f"{address}/cds-services/…"), err=True)
    if address and answered.status == NOT_FOUND:
        click.echo(f"Is {address} the address of the service? It lists its services at /cds-services.", err=True)


def made_request(base: str, patient: str, hook: Hook, token: str | None, drafts: BinaryIO | None) -> bytes:
    """Make the request of an EHR that sends no data, only where they are."""
    context: dict[str, Any] = {"userId": "Practitioner/oncobone", "patientId": patient}
    if hook == "encounter-start":
        context["encounterId"] = "unknown"
    if hook in ORDER_HOOKS:
        empty = {"resourceType": "Bundle", "type": "collection", "entry": []}
        context["draftOrders"] = empty if drafts is None else _drafts(drafts)
    if hook == "order-select":
        entries = [entry["resource"] for entry in context["draftOrders"].get("entry", ())]
        context["selections"] = [f"{each['resourceType']}/{each['id']}" for each in entries if "id" in each]
    made: dict[str, Any] = {"hook": hook, "hookInstance": str(uuid.uuid4()), "fhirServer": base, "context": context}
    if token:
        authorization = {"access_token": token, "token_type": "Bearer", "expires_in": 300}
        made["fhirAuthorization"] = authorization | {"scope": "", "subject": "oncobone"}
    return json.dumps(made).encode()


def service_base(url: str) -> str:
    """Give the base of a service as people write it: without scheme, with a slash or `/cds-services` at its end."""
    found = url.strip().rstrip("/").removesuffix("/cds-services").rstrip("/")
    if "://" not in found:
        host = found.partition("/")[0].rpartition(":")[0] or found.partition("/")[0]
        found = f"{'http' if is_loopback(host) else 'https'}://{found}"
    return found


def _about_token(token: str | None, endpoint: str) -> str:
    if not token:
        return "This service checks who calls: give a token with --token (oncobone keys token makes one)."
    return (
        f"The token is not accepted: {endpoint} must be its audience, and each call needs a new one."
        " oncobone keys explain says which check fails."
    )


def _drafts(file: BinaryIO) -> dict[str, Any]:
    try:
        bundle = json.loads(file.read())
    except ValueError as error:
        raise click.UsageError(f"--drafts: is not JSON: {error}") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise click.UsageError("--drafts: must hold a FHIR Bundle of draft orders")
    return bundle


def _ask_here(
    settings: Settings, service: str | None, body: bytes, headers: Mapping[str, str], base: str | None = None
) -> Answer:
    if base is not None:  # who names it here may have it asked
        settings = settings.model_copy(update={"fhir_servers": (*settings.fhir_servers, base)})
    desk = Desk.of(settings)
    chosen = service or _service_for(body, [(each.id, each.hook) for each in desk.services])
    response = create_app(settings).test_client().post(f"/cds-services/{chosen}", data=body, headers=dict(headers))
    return Answer(response.status_code, response.get_json())


def _ask(base: str, service: str | None, body: bytes, headers: Mapping[str, str], ca_file: str | None) -> Answer:
    trusted = ca_file or True
    try:
        if service is None and "Authorization" in headers:
            # A token is good for one call, at the address it was made for: it is not spent on discovery.
            service = f"oncobone-{_hook_of(body)}"
        if service is None:
            discovery = requests.get(f"{base}/cds-services", headers=dict(headers), timeout=TIMEOUT_S, verify=trusted)
            if discovery.status_code != 200:
                return Answer(discovery.status_code, _json_of(discovery))
            offered = _json_of(discovery).get("services", [])
            service = _service_for(body, [(each.get("id"), each.get("hook")) for each in offered])
        response = requests.post(
            f"{base}/cds-services/{service}", data=body, headers=dict(headers), timeout=TIMEOUT_S, verify=trusted
        )
        return Answer(response.status_code, _json_of(response))
    except requests.exceptions.SSLError as error:
        if is_untrusted(error):
            refuse(
                f"{base}: its certificate is signed by nobody we trust, or is for another name. Name the file with the"
                " certificate of its authority (PEM) with --ca-file or in ONCOBONE_CA_FILE."
            )
        refuse(f"{base} speaks no TLS at this port, or none that we accept. Is it http:// instead?")
    except requests.RequestException as error:
        refuse(f"{base} cannot be reached ({type(error).__name__}). Is it running? Start it with: oncobone serve")


def _json_of(response: requests.Response) -> Any:  # noqa: ANN401 - JSON
    try:
        return response.json()
    except ValueError:
        refuse(f"The server answered {response.status_code}, but not in JSON: it is no CDS Hooks service.")


def _hook_of(body: bytes) -> str | None:
    try:
        hook = json.loads(body).get("hook")
    except (ValueError, AttributeError, RecursionError):
        return None
    return hook if isinstance(hook, str) else None


def _service_for(body: bytes, offered: Sequence[tuple[str, str]]) -> str:
    """Choose the service for the hook of a request; for one without a hook the first, which says what is wrong."""
    hook = _hook_of(body)
    ids = [service_id for service_id, of_hook in offered if hook in (None, of_hook)]
    if not ids:
        refuse(
            f"hook: no service here is for it; there are services for {', '.join(of_hook for _, of_hook in offered)}."
        )
    return ids[0]


def _diagnostics(body: Any) -> str:  # noqa: ANN401 - JSON
    try:
        return str(body["issue"][0]["diagnostics"])
    except (KeyError, IndexError, TypeError):
        return "no reason given"


def _readable(body: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield the lines of an answer for people, each with its colour."""
    cards = body.get("cards", [])
    for number, card in enumerate(cards, 1):
        sign, colour = SIGNS.get(card["indicator"], (card["indicator"], "white"))
        yield f"[{sign}] {card['summary']}", colour
        yield from ((line, None) for line in _card(card))
        if number < len(cards):
            yield "", None
    yield from (
        (line, None) for line in _told(body.get("extension", {}).get("org.oncobone.evaluation", {}), len(cards))
    )


def _card(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a card says under its summary."""
    yield from (f"    {line}".rstrip() for line in card.get("detail", "").replace("**", "").splitlines())
    source = card["source"]
    yield f"    Source: {source['label']}" + (f" <{source['url']}>" if "url" in source else "")
    for suggestion in card.get("suggestions", ()):
        yield f"    -> {suggestion['label']}"
        yield from (f"       {action['type']}: {action['description']}" for action in suggestion.get("actions", ()))
    reasons = [reason["display"] for reason in card.get("overrideReasons", ())]
    if reasons:
        yield f"    If not followed: {', '.join(reasons)}"


def _told(evaluation: Mapping[str, Any], cards: int) -> Iterator[str]:
    if not cards:
        yield "No cards." if evaluation.get("in_scope") else "No cards: nothing here is in scope."
    if evaluation:
        counted = "1 card" if cards == 1 else f"{cards} cards"
        yield f"({counted} as of {evaluation['as_of']}, guidance {evaluation['guidance']})"
    for outcome in OUTCOMES:
        if rules := evaluation.get(outcome):
            yield f"{outcome}: {', '.join(rules)}"
    if undecided := evaluation.get("indeterminate"):
        yield "undecided: " + ", ".join(f"{each['rule']} (lacks {', '.join(each['missing'])})" for each in undecided)
    for note in evaluation.get("notes", ()):
        yield f"note: {note['resource']}: {note['reason']}"


@click.command()
@request_option
@service_option
@language_option
@json_option
@config_option
def explain(file: BinaryIO, service: str | None, language: Language | None, raw: bool, config: str | None) -> None:
    """Show every rule with its verdict. With it come the facts that it read, and what it lacks."""
    settings = _settings(config=config, auth="open")
    desk = Desk.of(settings)
    body = file.read()
    chosen = service or _service_for(body, [(each.id, each.hook) for each in desk.services])
    offered: list[Service] = [each for each in desk.services if each.id == chosen]
    if not offered:
        refuse(f"--service: there are {', '.join(each.id for each in desk.services)}")
    try:
        judged = desk.in_full(*desk.judge(body, offered))
    except Refused as refused:
        refuse(f"Refused ({refused.status}): {refused.diagnostics}")
    if raw:
        show_json(explaining.as_json(judged))
    else:
        for line in explaining.as_text(judged, language or settings.language):
            click.echo(harmless(line))
