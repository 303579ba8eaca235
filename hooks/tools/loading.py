"""The sample patients for any FHIR server: as transaction Bundles, and loaded there without touching what is."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests

from hooks.fhir_server.addresses import base_of
from hooks.fhir_server.reasons import sentence
from hooks.reference import samples

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

SYSTEM: Final = "urn:oncobone:samples"
"""The system of the identifiers by which the sample patients and their data are known again."""
NOWHERE: Final = "https://fhir.example.org"
"""The base of a Bundle that is written into a file."""
PATIENCE_S: Final = 60.0
_JSON: Final = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
_REASONS: Final = {401: "unauthorized", 403: "forbidden", 404: "not-found", 429: "too-many-requests"}
_NO_CLIENT_IDS: Final = frozenset({400, 404, 405, 409, 412, 422})
"""How servers refuse resources under ids that the client has chosen."""


class LoadError(RuntimeError):
    """The samples cannot be loaded; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One sample patient on a server: the id it has there, and how many resources it came with."""

    sample: samples.Sample
    patient_id: str
    resources: int


def as_transaction(
    sample: samples.Sample, day: dt.date, base: str = NOWHERE, *, own_ids: bool = True
) -> dict[str, Any]:
    """
    Make a transaction Bundle of a sample patient's chart, told as of `day`.

    The patients share ids such as `Observation/obs-5`; on one server each gets the patient's id before it, and is
    known again by its identifier. Without `own_ids` the server gives the ids, once for each identifier.
    """
    resources = [samples.moved(each, (day - samples.STORY_DAY).days) for each in sample.resources]
    names = {_name(each): _own_name(each, sample.patient_id) for each in resources}
    urls = {own: f"{base}/{own}" if own_ids else uuid.uuid5(uuid.NAMESPACE_URL, own).urn for own in names.values()}
    references = names if own_ids else {name: urls[own] for name, own in names.items()}
    entries = []
    for each in resources:
        own = names[_name(each)]
        kind, _, own_id = own.partition("/")
        resource = _renamed(each, references) | {"id": own_id, "identifier": _identifiers(each, own_id)}
        made = {"method": "PUT", "url": own}
        if not own_ids:
            del resource["id"]
            made = {"method": "POST", "url": kind, "ifNoneExist": f"identifier={SYSTEM}|{own_id}"}
        entries.append({"fullUrl": urls[own], "resource": resource, "request": made})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _name(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _own_name(resource: Mapping[str, Any], patient_id: str) -> str:
    kind, own = resource["resourceType"], resource["id"]
    return f"Patient/{patient_id}" if kind == "Patient" else f"{kind}/{patient_id}-{own}"


def _identifiers(resource: Mapping[str, Any], own_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resource.get("identifier") or [{"system": SYSTEM, "value": own_id}]
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {
            key: names.get(inner, inner) if key == "reference" and isinstance(inner, str) else _renamed(inner, names)
            for key, inner in value.items()
        }
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value


def load(
    base: str,
    day: dt.date,
    chosen: Sequence[samples.Sample] | None = None,
    *,
    token: str | None = None,
    ca_file: str | None = None,
    told: Callable[[Loaded], None] | None = None,
) -> list[Loaded]:
    """
    Load sample patients (default: all) into a FHIR server, one transaction each.

    They keep their ids where the server lets a client choose, else it gives them some. Loaded again they are brought
    up to date, or left as they are. Raises LoadError, before anything is loaded, where a patient of somebody else
    bears one of their ids; and when the server refuses.
    """
    if base_of(base) is None:
        raise LoadError("--load: must be a FHIR base, such as https://ehr.example.org/fhir")
    server = _Server(base.rstrip("/"), token, ca_file)
    wanted = samples.samples() if chosen is None else tuple(chosen)
    own_ids = server.lets_clients_choose()
    if own_ids:
        server.refuse_strangers(wanted)
    loaded: list[Loaded] = []
    for sample in wanted:
        answered = server.transact(as_transaction(sample, day, server.base, own_ids=own_ids))
        if own_ids and not loaded and answered.status_code in _NO_CLIENT_IDS:
            own_ids = False
            answered = server.transact(as_transaction(sample, day, server.base, own_ids=False))
        loaded.append(Loaded(sample, *_patient_of(answered, sample.name)))
        if told is not None:
            told(loaded[-1])
    return loaded


class _Server:
    """A FHIR server that somebody wants the samples on."""

    def __init__(self, base: str, token: str | None, ca_file: str | None) -> None:
        self.base = base
        self._headers = _JSON | ({"Authorization": f"Bearer {token}"} if token else {})
        self._ca_file = ca_file

    def lets_clients_choose(self) -> bool:
        """Tell whether resources may be made under ids of ours, as far as the CapabilityStatement says."""
        statement = self._json(self._ask("GET", "metadata"))
        if statement.get("resourceType") != "CapabilityStatement":
            raise LoadError(f"{self.base}: {sentence('wrong-type')} /metadata sends no CapabilityStatement.")
        kinds = [kind for rest in statement.get("rest") or () for kind in rest.get("resource") or ()]
        return not any(kind.get("type") == "Patient" and kind.get("updateCreate") is False for kind in kinds)

    def refuse_strangers(self, wanted: Sequence[samples.Sample]) -> None:
        """Make sure that nobody else's patient would be written over."""
        for sample in wanted:
            answered = self._ask("GET", f"Patient/{sample.patient_id}")
            if answered.status_code != requests.codes.ok:
                continue
            known = self._json(answered).get("identifier") or ()
            if not any(each.get("system") == SYSTEM for each in known if isinstance(each, dict)):
                raise LoadError(
                    f"{self.base} has a patient {sample.patient_id} that is none of our samples. Nothing was loaded:"
                    " it would have been written over. Load into an empty server, or choose others with --name."
                )

    def transact(self, bundle: Mapping[str, Any]) -> requests.Response:
        """Send a transaction."""
        return self._ask("POST", "", bundle)

    def _ask(self, method: str, path: str, body: object = None) -> requests.Response:
        url = f"{self.base}/{path}".rstrip("/")
        try:
            with requests.Session() as session:
                session.trust_env = False  # as the service reads: no proxy, no .netrc
                answered = session.request(
                    method,
                    url,
                    data=None if body is None else json.dumps(body),
                    headers=self._headers,
                    timeout=PATIENCE_S,
                    allow_redirects=False,
                    verify=self._ca_file or True,
                )
        except requests.exceptions.SSLError:
            raise LoadError(f"{self.base}: {sentence('certificate')}") from None
        except requests.Timeout:
            raise LoadError(f"{self.base} did not answer within {PATIENCE_S:.0f} s.") from None
        except requests.RequestException:
            raise LoadError(f"{self.base}: {sentence('connection')}") from None
        if answered.is_redirect:
            raise LoadError(f"{self.base}: {sentence('redirect')}")
        if answered.status_code in {401, 403}:
            raise LoadError(
                f"{self.base}: {sentence(_REASONS[answered.status_code])} Loading needs a token (--token) that may"
                " write."
            )
        return answered

    def _json(self, answered: requests.Response) -> dict[str, Any]:
        try:
            found = answered.json()
        except ValueError:
            raise LoadError(f"{self.base}: {sentence('not-json')}") from None
        return found if isinstance(found, dict) else {}


def _patient_of(answered: requests.Response, name: str) -> tuple[str, int]:
    """Give the id that the patient of an accepted transaction has now, and how many resources came in."""
    if answered.status_code >= 300:
        raise LoadError(f"The FHIR server refused {name} ({answered.status_code}){_said(answered)}")
    try:
        entries = answered.json()["entry"]
        statuses = [str(entry["response"]["status"]) for entry in entries]
        locations = [str(entry["response"].get("location") or "") for entry in entries]
    except (ValueError, KeyError, TypeError):
        raise LoadError(f"The FHIR server took {name} and did not say what became of it.") from None
    if any(not status.startswith("2") for status in statuses):
        raise LoadError(f"The FHIR server refused a part of {name}.")
    ids = [found for location in locations if (found := _id_in(location))]
    return (ids[0] if ids else samples.sample(name).patient_id), len(entries)


def _id_in(location: str) -> str | None:
    _, found, rest = location.rpartition("Patient/")
    return rest.partition("/")[0] or None if found else None


def _said(answered: requests.Response) -> str:
    """Give what the server says of its refusal: the samples are made up, so nothing of a patient is in it."""
    try:
        issues = answered.json().get("issue") or ()
        told = next(iter(_told(issues)), "")
    except (ValueError, AttributeError, TypeError):
        told = ""
    return f": {told[:300]}" if told else ". Does it take transactions? Its own log says why."


def _told(issues: Any) -> Iterator[str]:  # noqa: ANN401 - JSON of somebody else
    for issue in issues:
        text = issue.get("diagnostics") or (issue.get("details") or {}).get("text")
        if isinstance(text, str):
            yield text
