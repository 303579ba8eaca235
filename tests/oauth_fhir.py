"""A small FHIR R4 server with SMART sign-in on loopback: keeps what is written, and fails as told."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse
from pydantic import ValidationError

from tests.loopback import Loopback, running

Json = dict[str, Any]
MODELS: dict[str, Any] = {"Observation": Observation, "QuestionnaireResponse": QuestionnaireResponse}
HANG = "hang"


@dataclass
class Grant:
    """What a code or refresh token stands for."""

    challenge: str
    redirect: str
    client: str
    patient: str | None
    scope: str
    app_context: str | None


@dataclass
class Chart:
    """All that the server holds and was asked; `fail` tells per kind of resource how a POST ends."""

    resources: dict[str, Json] = field(default_factory=dict)
    patient: str | None = "p1"
    user: str | None = "Practitioner/d1"
    app_context: str | None = None
    fail: dict[str, list[int | str]] = field(default_factory=dict)
    discovery: Json = field(default_factory=dict)
    refreshed_patient: str | None = None
    gives_refresh: bool = False
    redirect_reads_to: str | None = None
    wants_category: bool = False
    posted: list[str] = field(default_factory=list)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    token_calls: list[Json] = field(default_factory=list)
    codes: dict[str, Grant] = field(default_factory=dict)
    access: dict[str, str | None] = field(default_factory=dict)
    launches: dict[str, str | None] = field(default_factory=dict)

    def add(self, *resources: Json) -> None:
        """Put resources into the chart."""
        for resource in resources:
            self.resources[f"{resource['resourceType']}/{resource['id']}"] = resource

    def of(self, kind: str) -> list[Json]:
        """Give all resources of a kind."""
        return [one for one in self.resources.values() if one["resourceType"] == kind]

    def written(self) -> list[Json]:
        """Give what was written by the form, in order."""
        return [self.resources[name] for name in self.posted]

    def expire(self) -> None:
        """End all sign-ins."""
        self.access.clear()


class Handler(BaseHTTPRequestHandler):
    """SMART discovery, authorization, token, and R4 read, search and create."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    # --- answers ---

    def send(self, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        """A whole answer, readable for any page."""
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        told = {
            "Content-Type": "application/fhir+json",
            "Content-Length": str(len(raw)),
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": "authorization, content-type, accept",
            "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
            "Access-Control-Expose-Headers": "Location",
        }
        for name, value in (told | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def outcome(self, status: int) -> None:
        """An error as FHIR says it."""
        self.send(status, {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]})

    def do_OPTIONS(self) -> None:
        """Preflight."""
        self.send(204)

    # --- sign-in ---

    def do_GET(self) -> None:
        """Discovery, authorization, read and search."""
        chart, parts = self.server.chart, urlsplit(self.path)
        chart.seen.append(("GET", self.path, self.headers.get("Authorization")))
        if parts.path == "/fhir/.well-known/smart-configuration":
            self.send(200, self.server.smart() | chart.discovery)
        elif parts.path == "/authorize":
            self.authorize(parse_qs(parts.query))
        elif parts.path.startswith("/fhir/"):
            self.fhir(parts.path.removeprefix("/fhir/"), parse_qs(parts.query))
        else:
            self.outcome(404)

    def authorize(self, asked: dict[str, list[str]]) -> None:
        """Lets everybody in, as the patient of the launch, or the one that is chosen."""
        chart = self.server.chart
        one = {name: values[0] for name, values in asked.items()}
        assert one["response_type"] == "code"
        assert one["code_challenge_method"] == "S256"
        assert one["aud"] == self.server.base
        patient = chart.launches.pop(one["launch"]) if "launch" in one else chart.patient
        code = secrets.token_urlsafe(16)
        grant = Grant(
            one["code_challenge"], one["redirect_uri"], one["client_id"], patient, one["scope"], chart.app_context
        )
        chart.codes[code] = grant
        query = urlencode({"code": code, "state": one["state"]})
        self.send(302, headers={"Location": f"{one['redirect_uri']}?{query}"})

    def token(self, body: dict[str, list[str]]) -> None:
        """Trades a code with its verifier, or a refresh token, for an access token."""
        chart = self.server.chart
        one = {name: values[0] for name, values in body.items()}
        chart.token_calls.append(one)
        if one["grant_type"] == "refresh_token":
            access = secrets.token_urlsafe(16)
            chart.access[access] = chart.refreshed_patient
            self.send(200, {"access_token": access, "token_type": "Bearer", "patient": chart.refreshed_patient})
            return
        grant = chart.codes.pop(one.get("code", ""), None)
        digest = hashlib.sha256(one.get("code_verifier", "").encode()).digest()
        told = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            grant is None
            or told != grant.challenge
            or one.get("redirect_uri") != grant.redirect
            or one.get("client_id") != grant.client
        ):
            self.send(400, {"error": "invalid_grant"})
            return
        access = secrets.token_urlsafe(16)
        chart.access[access] = grant.patient
        answer: Json = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "scope": grant.scope}
        if grant.patient:
            answer["patient"] = grant.patient
            answer["encounter"] = "e1"
        if grant.app_context:
            answer["appContext"] = grant.app_context
        if chart.gives_refresh:
            answer["refresh_token"] = secrets.token_urlsafe(16)
        if chart.user:
            claims = base64.urlsafe_b64encode(json.dumps({"fhirUser": f"{self.server.base}/{chart.user}"}).encode())
            answer["id_token"] = f"e30.{claims.decode().rstrip('=')}.x"
        self.send(200, answer)

    # --- FHIR ---

    def allowed(self) -> str | None:
        """The patient whose record this token opens; None where it opens none."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return self.server.chart.access.get(token)

    def fhir(self, path: str, query: dict[str, list[str]]) -> None:
        """Reads one resource, or searches by patient and identifier, two resources a page."""
        chart, mine = self.server.chart, self.allowed()
        if mine is None:
            self.outcome(401)
            return
        if chart.redirect_reads_to:
            self.send(302, headers={"Location": chart.redirect_reads_to})
            return
        kind, _, name = path.partition("/")
        if name:
            found = chart.resources.get(path)
            if found is None or (kind == "Patient" and name != mine):
                self.outcome(404 if found is None else 403)
            else:
                self.send(200, found)
            return
        if query.get("patient") != [mine]:
            self.outcome(403)
            return
        if kind == "Observation" and chart.wants_category and not {"category", "_start", "identifier"} & set(query):
            self.outcome(400)
            return
        hits = [one for one in chart.of(kind) if _subject(one) == f"Patient/{mine}"]
        if "category" in query:  # what bears none is told as laboratory's
            hits = [one for one in hits if query["category"] == [_category(one)]]
        if "identifier" in query:
            hits = [one for one in hits if query["identifier"][0] in _identifiers(one)]
        start = int(query.get("_start", ["0"])[0])
        bundle: Json = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(hits),
            "entry": [{"resource": one} for one in hits[start : start + 2]],
        }
        if start + 2 < len(hits):
            category = f"&category={query['category'][0]}" if "category" in query else ""
            following = f"{self.server.base}/{kind}?patient={mine}{category}&_start={start + 2}"
            bundle["link"] = [{"relation": "next", "url": following}]
        self.send(200, bundle)

    def do_POST(self) -> None:
        """Token, and create."""
        chart = self.server.chart
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chart.seen.append(("POST", self.path, self.headers.get("Authorization")))
        if self.path == "/token":
            self.token(parse_qs(raw.decode()))
            return
        mine = self.allowed()
        if mine is None:
            self.outcome(401)
            return
        kind = self.path.removeprefix("/fhir/")
        queue = chart.fail.get(kind, [])
        fault = queue.pop(0) if queue else 0
        if isinstance(fault, int) and fault:
            self.outcome(fault)
            return
        resource = json.loads(raw)
        try:
            MODELS[kind].model_validate(resource)
        except ValidationError:
            self.outcome(422)
            return
        if _subject(resource) != f"Patient/{mine}":
            self.outcome(403)
            return
        name = f"{kind.lower()[:3]}-{len(chart.posted) + 1}"
        chart.add({**resource, "id": name})
        chart.posted.append(f"{kind}/{name}")
        if fault == HANG:  # it is kept, and the answer gets lost
            self.server.over.wait(30)
            self.close_connection = True
            return
        self.send(201, {**resource, "id": name}, {"Location": f"{self.server.base}/{kind}/{name}/_history/1"})

    def do_PUT(self) -> None:
        """Update: of what is there, and of the same patient."""
        chart = self.server.chart
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chart.seen.append(("PUT", self.path, self.headers.get("Authorization")))
        mine, name, resource = self.allowed(), self.path.removeprefix("/fhir/"), json.loads(raw)
        if mine is None or name not in chart.resources:
            self.outcome(401 if mine is None else 404)
            return
        MODELS[name.partition("/")[0]].model_validate(resource)
        if _subject(resource) != f"Patient/{mine}" or f"{resource['resourceType']}/{resource['id']}" != name:
            self.outcome(403)
            return
        chart.resources[name] = resource
        self.send(200, resource)


def _category(resource: Json) -> str:
    coded = (resource.get("category") or [{}])[0].get("coding") or [{}]
    return str(coded[0].get("code", "laboratory"))


def _subject(resource: Json) -> str | None:
    found = resource.get("subject") or resource.get("patient") or {}
    reference: str | None = found.get("reference")
    return reference


def _identifiers(resource: Json) -> list[str]:
    listed = resource.get("identifier", [])
    return [f"{one['system']}|{one['value']}" for one in (listed if isinstance(listed, list) else [listed])]


class Server(Loopback):
    """Holds a chart and lets people sign in."""

    def __init__(self, chart: Chart) -> None:
        super().__init__(Handler)
        self.chart = chart

    @property
    def base(self) -> str:
        """Its FHIR base."""
        return f"{self.origin}/fhir"

    def smart(self) -> Json:
        """Discovery."""
        return {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-ehr", "launch-standalone", "client-public", "permission-v2"],
        }

    def launch(self, url: str, patient: str | None = "p1", app_context: str | None = None) -> str:
        """Give the address an EHR opens for a card's link with a patient open, `appContext` passed on."""
        launch = secrets.token_urlsafe(8)
        self.chart.launches[launch] = patient
        self.chart.app_context = app_context
        return f"{url}?iss={quote(self.base, safe='')}&launch={launch}"


def serving(chart: Chart) -> AbstractContextManager[Server]:
    """A running server."""
    return running(Server(chart))


Starter = Callable[[Chart], Server]
