"""A real FHIR server on loopback that misbehaves as told, and counts who came."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Loopback, running

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each GET to the server's `answer`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Notes the request and answers it."""
        self.server.seen.append((self.path, dict(self.headers.items())))
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def send(self, body: bytes, status: int = 200, kind: str = "application/fhir+json", **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(Loopback):
    """Listens on a free loopback port; `seen` holds path and headers of each request."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(Handler)
        self.answer = answer
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.connections = 0

    @property
    def base(self) -> str:
        """Its FHIR base."""
        return f"{self.origin}/fhir"

    def get_request(self) -> tuple[socket.socket, Any]:
        """Counts connections, also those on which nothing is asked."""
        self.connections += 1
        return super().get_request()


def serving(answer: Answer) -> AbstractContextManager[Server]:
    """A running server."""
    return running(Server(answer))


def as_json(value: object) -> bytes:
    """JSON as a server would send it."""
    return json.dumps(value).encode()


def bundle(*resources: dict[str, Any], following: str | None = None) -> bytes:
    """A searchset."""
    found: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(resources)}
    if following is not None:
        found["link"] = [{"relation": "self", "url": "x"}, {"relation": "next", "url": following}]
    if resources:
        found["entry"] = [{"resource": resource} for resource in resources]
    return as_json(found)


def patient(**members: Any) -> dict[str, Any]:
    """A synthetic patient."""
    return {"resourceType": "Patient", "id": "p1"} | members


def condition(number: int) -> dict[str, Any]:
    """A synthetic condition."""
    return {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": "Patient/p1"}}


def well(handler: Handler) -> None:
    """What a good server says."""
    handler.send(as_json(patient()) if handler.path.startswith("/fhir/Patient/") else bundle(condition(1)))


# Faults


def status(number: int, **headers: str) -> Answer:
    """Answers with a status and an OperationOutcome that repeats the token, as careless servers do."""

    def answer(handler: Handler) -> None:
        told = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": handler.headers["Authorization"]}]}
        handler.send(as_json(told), number, **headers)

    return answer


def reset(handler: Handler) -> None:
    """Breaks the connection off hard."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def hang(handler: Handler) -> None:
    """Never answers."""
    handler.server.over.wait(30)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Sends a byte now and then, so that no read ever times out."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/fhir+json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_headers(handler: Handler) -> None:
    """The same within the headers."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.server.over.is_set():
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_chunks(handler: Handler) -> None:
    """The same in chunked encoding."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(b"1\r\n \r\n")
        handler.wfile.flush()
        time.sleep(0.05)


def truncate(handler: Handler) -> None:
    """Announces more than it sends."""
    handler.send(bundle(condition(1)), Content_Length="100000")
    handler.close_connection = True


def truncate_chunks(handler: Handler) -> None:
    """Ends a chunked body without its end."""
    body = bundle(condition(1))
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
    handler.close_connection = True


def html(handler: Handler) -> None:
    """The login page of some portal."""
    handler.send(b"<!doctype html><title>Sign in</title>", kind="text/html")


def wrong_type(handler: Handler) -> None:
    """Something else than was asked for."""
    handler.send(as_json({"resourceType": "Practitioner", "id": "p1"}))


def an_outcome(handler: Handler) -> None:
    """An error that comes as a success."""
    handler.send(as_json({"resourceType": "OperationOutcome", "issue": []}))


def deep(handler: Handler) -> None:
    """Nests lists."""
    handler.send(b'{"resourceType":"Bundle","entry":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}")


def huge(handler: Handler) -> None:
    """Sends without end, and does not say how much."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.over.is_set():
        handler.wfile.write(b" " * 1_000_000)


def huge_announced(handler: Handler) -> None:
    """Says how much."""
    handler.send(b"{", Content_Length=str(1 << 40))


BOMB = gzip.compress(b" " * 50_000_000, 1)
"""Made before anybody waits for it: to make it takes longer than a fetch may."""


def gzip_bomb(handler: Handler) -> None:
    """Sends 50 MB in 50 kB, though it was asked for plain text."""
    handler.send(BOMB, Content_Encoding="gzip")


def redirect_to(url: str) -> Answer:
    """Sends on to somewhere else."""
    return lambda handler: handler.send(b"", 302, Location=url)


def not_http(handler: Handler) -> None:
    """Speaks another protocol."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.close_connection = True


def many_headers(handler: Handler) -> None:
    """Sends more headers than anybody reads."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n")
    handler.close_connection = True
