"""Where the dossier may be launched from, and what its pages may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hooks.settings import is_loopback

if TYPE_CHECKING:
    from hooks.settings import Settings


def is_on(settings: Settings) -> bool:
    """Tell whether the dossier can be launched: a SMART client id and at least one FHIR server are set."""
    return bool(settings.smart_client_id and servers(settings))


def servers(settings: Settings) -> tuple[str, ...]:
    """Give the FHIR bases that the dossier may be launched from: those of the site and of its clients."""
    listed = [*settings.fhir_servers, *(base for client in settings.clients for base in client.fhir_servers)]
    return tuple(dict.fromkeys(base.rstrip("/") for base in listed))


def launch_url(settings: Settings) -> str | None:
    """Give the address that a card's `smart` link names; None where the dossier cannot be launched from a card."""
    public = settings.public_url
    if not is_on(settings) or public is None or not is_safe(public):
        return None
    return f"{public.rstrip('/')}/dossier/launch"


def is_safe(url: str) -> bool:
    """Tell whether a link may be followed: https, or plain http to this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def origin(url: str) -> str:
    """Give scheme, host and port of an address, as a browser writes an origin."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port is not None and parts.port != usual else ""
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def policy(settings: Settings) -> str:
    """Give the pages' content security policy: our own files, and the configured servers to talk to."""
    reached = " ".join(dict.fromkeys(["'self'", *map(origin, servers(settings)), *settings.smart_auth_origins]))
    embedding = " ".join(settings.smart_frame_ancestors) or "'none'"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {reached};"
        f" base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors {embedding}"
    )
