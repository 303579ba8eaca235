"""
A little EHR for trying the dossier: it launches SMART apps for the sandbox's patients, and passes FHIR through.

For this machine alone: whoever asks is let in, as a clinician who is made up. Nothing of it is part of the service.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import requests
from flask import Flask, Response, redirect, render_template_string, request
from werkzeug.serving import make_server

from hooks.reference import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.wrappers import Response as AnyResponse

HOST = "127.0.0.1"
CLIENT = "oncobone-sandbox"
PERSON = "Practitioner/sandbox"
PASSED = frozenset({"GET", "POST", "PUT"})
PATIENCE_S = 30

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A little EHR</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body { font: 1rem/1.6 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem 1.2rem; }
ul { padding: 0; list-style: none; } li { padding: .3rem 0; border-bottom: 1px solid #8884; }</style></head><body><main>
<h1>A little EHR</h1><p>Choose a synthetic patient; the dossier is launched as a SMART app.</p>
<ul>{% for patient, story, url in rows %}
<li><a href="{{ url }}">{{ story }}</a> <code>{{ patient }}</code></li>{% endfor %}</ul>
</main></body></html>"""


@dataclass(slots=True)
class Desk:
    """What the EHR remembers: launches that were offered, codes and tokens that were given, each for one patient."""

    launches: dict[str, str] = field(default_factory=dict)
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


def make_app(origin: str, fhir: str, service: str) -> Flask:
    """
    Make the EHR.

    `origin` is its own address, `fhir` the base that it passes requests on to, `service` the address of ours, whose
    pages alone are signed in.
    """
    app, desk = Flask("little-ehr"), Desk()
    session = requests.Session()
    session.trust_env = False  # it is on this machine: no proxy

    @app.get("/")
    def patients() -> str:
        """List the patients, each with a launch of its own."""
        rows = []
        for one in samples.samples():
            launch = secrets.token_urlsafe(16)
            desk.launches[launch] = one.patient_id
            query = urlencode({"iss": f"{origin}/fhir", "launch": launch})
            rows.append((one.patient_id, one.story["en"], f"{service}/dossier/launch?{query}"))
        return render_template_string(PAGE, rows=rows)

    @app.get("/fhir/.well-known/smart-configuration")
    def discovery() -> dict[str, Any]:
        """Say where to sign in."""
        return {
            "issuer": f"{origin}/fhir",
            "authorization_endpoint": f"{origin}/authorize",
            "token_endpoint": f"{origin}/token",
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-ehr", "client-public", "context-ehr-patient", "permission-v2"],
        }

    @app.get("/authorize")
    def authorize() -> AnyResponse | tuple[str, int]:
        """Let the launch that was offered in, and nothing else."""
        asked = request.args
        patient = desk.launches.pop(asked.get("launch", ""), None)
        back = asked.get("redirect_uri", "")
        known = asked.get("client_id") == CLIENT and back.startswith(f"{service}/")
        if patient is None or not known or asked.get("code_challenge_method") != "S256":
            return "This launch was not offered here, or it was used before. Start again from the list.", 400
        code = secrets.token_urlsafe(24)
        desk.codes[code] = (patient, asked.get("code_challenge", ""))
        return redirect(f"{back}?{urlencode({'code': code, 'state': asked.get('state', '')})}")

    @app.post("/token")
    def token() -> dict[str, Any] | tuple[dict[str, str], int]:
        """Give a token for the code, to whoever made the challenge."""
        patient, challenge = desk.codes.pop(request.form.get("code", ""), ("", ""))
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        if not patient or base64.urlsafe_b64encode(digest).decode().rstrip("=") != challenge:
            return {"error": "invalid_grant"}, 400
        given = secrets.token_urlsafe(24)
        desk.tokens[given] = patient
        return {
            "access_token": given,
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "launch patient/*.cruds",
            "patient": patient,
            "fhirUser": PERSON,
        }

    @app.route("/fhir/<path:path>", methods=sorted(PASSED))
    def passed(path: str) -> Response | tuple[str, int]:
        """Pass a request on to the FHIR server, for whoever has a token of ours."""
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in desk.tokens:
            return "", 401
        answer = session.request(
            request.method,
            f"{fhir}/{path}",
            params=request.args.to_dict(flat=False),
            data=request.get_data(),
            headers={"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"},
            timeout=PATIENCE_S,
        )
        ours = f"{origin}/fhir"
        body = answer.text.replace(fhir, ours)
        kept = {name: told.replace(fhir, ours) for name, told in answer.headers.items() if name == "Location"}
        return Response(body, answer.status_code, kept, mimetype="application/fhir+json")

    app.after_request(lambda response: _readable(response, service))
    return app


def _readable(response: Response, service: str) -> Response:
    """Let the pages of the service read what they ask for."""
    response.headers["Access-Control-Allow-Origin"] = service
    response.headers["Access-Control-Allow-Headers"] = "authorization, content-type, accept"
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, OPTIONS"
    response.headers["Access-Control-Expose-Headers"] = "Location"
    return response


@contextmanager
def serving(port: int, fhir: str, service: str) -> Iterator[str]:
    """Run the EHR on loopback until the end of the block; give its address."""
    origin = f"http://{HOST}:{port}"
    server = make_server(HOST, port, make_app(origin, fhir, service), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
