"""
One GET by requests, which is read when the first is sent: a site that asks no FHIR server never needs it.

No redirect is followed, no cookie kept, no proxy and no .netrc asked; what went wrong is a word, never a URL.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError, ReadTimeoutError

from hooks.fhir_server.watches import FetchError, Reason, here

if TYPE_CHECKING:
    import socket

CHUNK: Final = 64 * 1024

_STATUS: Final[Mapping[int, Reason]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    410: "gone",
    429: "too-many-requests",
}


def _watched(connection: HTTPConnection, connected: socket.socket) -> socket.socket:
    address = ipaddress.ip_address(str(connected.getpeername()[0]).partition("%")[0])
    if (getattr(address, "ipv4_mapped", None) or address).is_link_local:
        # Cloud machines serve their credentials there; no FHIR server is.
        connected.close()
        raise NewConnectionError(connection, "a link-local address")
    if here.watch is not None:
        here.watch.add(connected)
    return connected


class _WatchedHTTP(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _watched(self, super()._new_conn())


class _WatchedHTTPS(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _watched(self, super()._new_conn())


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests has it
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def get(url: str, headers: Mapping[str, str], deadline: float, limit: int, ca_file: str | None) -> bytes:
    """The body of one GET; see `download.download`."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchError("timeout")
    # A session of its own for each request: a shared one mixes up headers of parallel calls and keeps cookies.
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(max_retries=0))
        try:
            with session.get(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "oncobone", **headers},
                timeout=(left, left),
                allow_redirects=False,
                stream=True,
                verify=ca_file or True,
            ) as response:
                _check_status(response)
                return _body(response, deadline, limit)
        except requests.Timeout:
            raise FetchError("timeout") from None
        except requests.exceptions.SSLError as error:
            raise FetchError("certificate" if is_untrusted(error) else "tls") from None
        except requests.exceptions.ChunkedEncodingError:
            raise FetchError("truncated") from None
        except (requests.RequestException, LocationParseError, OSError):
            raise FetchError("connection") from None


def is_untrusted(error: BaseException) -> bool:
    """Tell whether a failed handshake failed over the certificate: the cause lies some wrappings deep."""
    causes: list[object] = [error]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if isinstance(cause, BaseException) and len(causes) < MOST_CAUSES:
            causes += [*cause.args, getattr(cause, "reason", None)]
    return False


MOST_CAUSES: Final = 20


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == requests.codes.ok:
        return
    if 300 <= status < 400:
        raise FetchError("redirect")
    reason = "server-error" if status >= 500 else _STATUS.get(status, "status")
    told = response.headers.get("Retry-After", "").strip()
    # The form with a date is a matter of hours; a call has seconds.
    raise FetchError(reason, float(told) if told.isascii() and told.isdecimal() and len(told) <= 6 else None)


def _body(response: requests.Response, deadline: float, limit: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise FetchError("not-json")  # asked for as it is; what comes compressed may be a bomb
    announced = response.headers.get("Content-Length", "")
    length = int(announced) if announced.isascii() and announced.isdecimal() else None
    if length is not None and length > limit:
        raise FetchError("too-large")
    body = bytearray()
    try:
        # read1 gives what has arrived: a read of the whole would let a server drip for ever.
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise FetchError("too-large")
            if time.monotonic() > deadline:
                raise FetchError("timeout")
    except ReadTimeoutError:
        raise FetchError("timeout") from None
    except HTTPError:
        raise FetchError("truncated") from None
    if length is not None and len(body) < length:
        raise FetchError("truncated")
    return bytes(body)
