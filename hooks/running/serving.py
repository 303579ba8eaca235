"""Serves the application for real: waitress, one process or several on one socket, with a graceful stop."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, WSGITask

from hooks.application import create_app, create_operator_app
from hooks.cards.wording import LANGUAGES
from hooks.errors import outcome
from hooks.running import observability
from hooks.settings import MIB, SettingsError, refuse_unsafe_start
from hooks.store.chain import AuditKeyError
from hooks.store.database import StoreError
from hooks.store.store import store_for
from hooks.trust.gate import WAITED
from hooks.views import DESK, is_cds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from flask import Flask

    from hooks.settings import Settings
    from hooks.views import Desk

LOG = observability.LOG

CONNECTIONS = 2000
IDLE_S = 20
HEADER_S = 10.0
BODY_S = 20.0
TICK_S = 0.25
BACKLOG = 1024
QUICK_DEATH_S = 2.0
MOST_QUICK_DEATHS = 5
COLLECT_AFTER = 50_000
"""So many new objects before the garbage collector looks at them; a call leaves few behind, and they are small."""


# --- what waitress is told to do otherwise ------------------------------------------------------------------


class _Outcome(ErrorTask):  # type: ignore[misc] # waitress has no types
    """The server's own errors (a header too large, a body beyond all limits) have our one shape too."""

    def execute(self) -> None:
        error = self.request.error
        # What a caller sends is never the server's error, not even an encoding that nobody has implemented.
        code, reason = (400, "Bad Request") if error.code == HTTPStatus.NOT_IMPLEMENTED else (error.code, error.reason)
        body = msgspec.json.encode(outcome(code))
        self.status = f"{code} {reason}"
        self.response_headers += [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        settings: Settings = self.channel.server.oncobone.settings
        if settings.auth == "open" and settings.loopback and is_cds(getattr(self.request, "path", "")):
            self.response_headers.append(("Access-Control-Allow-Origin", "*"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Task(WSGITask):  # type: ignore[misc] # waitress has no types
    """Tells the application how long the request stood in the queue; closes connections of a stopping server."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[WAITED] = time.monotonic() - self.channel.queued_at
        return environ

    def execute(self) -> None:
        if self.channel.server.oncobone.health.stopping:
            self.set_close_on_finish()
        super().execute()


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that knows since when a request is being received, and since when one waits."""

    task_class = _Task
    error_task_class = _Outcome
    queued_at = 0.0
    receiving_since: float | None = None

    def received(self, data: bytes) -> bool:
        if self.receiving_since is None:
            self.receiving_since = time.monotonic()
        self.queued_at = time.monotonic()
        taken: bool = super().received(data)
        if self.request is None:
            self.receiving_since = None
        return taken

    def dawdles(self, now: float) -> bool:
        """Tell whether a request takes too long to arrive: a byte now and then keeps no connection alive."""
        if self.request is None or self.receiving_since is None or self.requests:
            return False
        return bool(now - self.receiving_since > (BODY_S if self.request.headers_finished else HEADER_S))


@dataclass(slots=True)
class _Own:
    """What our parts of waitress need of ours."""

    settings: Settings
    health: observability.Health


# --- one process --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stop:
    """Whether somebody has asked this process to stop."""

    asked: bool = False

    def on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a handler
        self.asked = True


@dataclass(slots=True)
class Process:
    """One serving process: its sockets, its applications, and the loop that moves bytes between them."""

    settings: Settings
    app: Flask
    sockets: Mapping[str, socket.socket]
    channels: dict[int, Any] = field(default_factory=dict)
    servers: list[Any] = field(default_factory=list)

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Serve until asked to stop; then finish the calls under way and return."""
        health = observability.of(self.app).health
        applications = {"calls": self.app, "operators": create_operator_app(self.app)}
        for name, listener in self.sockets.items():
            server = create_server(
                applications[name],
                map=self.channels,
                sockets=[listener],
                threads=self.settings.threads if name == "calls" else 2,
                connection_limit=CONNECTIONS,
                asyncore_use_poll=True,
                channel_timeout=IDLE_S,
                cleanup_interval=5,
                max_request_body_size=self.settings.max_body_bytes + MIB,
                expose_tracebacks=False,
                ident=None,
                backlog=BACKLOG,
            )
            server.channel_class = _Channel
            server.oncobone = _Own(self.settings, health)
            self.servers.append(server)
        while not should_stop():
            self._turn()
        health.stopping = True
        self._turn_until(time.monotonic() + self.settings.drain_seconds)
        self._refuse_new_connections()
        self._turn_until(time.monotonic() + self.settings.stop_seconds, or_else=lambda: not self._busy())
        for server in self.servers:
            server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self.channels)
        for each in observability.of(self.app).at_end:
            each()

    def _turn(self, wait_s: float = TICK_S) -> None:
        wasyncore.loop(timeout=wait_s, use_poll=True, map=self.channels, count=1)
        now = time.monotonic()
        for channel in self._connections():
            if channel.dawdles(now):
                channel.will_close = True

    def _turn_until(self, deadline: float, or_else: Callable[[], bool] = lambda: False) -> None:
        while time.monotonic() < deadline and not or_else():
            self._turn(0.05)

    def _connections(self) -> list[Any]:
        return [channel for server in self.servers for channel in list(server.active_channels.values())]

    def _busy(self) -> bool:
        return any(c.requests or c.total_outbufs_len or c.request is not None for c in self._connections())

    def _refuse_new_connections(self) -> None:
        # Connections that the kernel has accepted for us already would be cut off: take them, one a turn.
        for _ in range(BACKLOG):
            if not select.select([server.socket for server in self.servers], [], [], 0)[0]:
                break
            self._turn(0)
        for server in self.servers:
            server.accepting = False
            server.del_channel(self.channels)
            server.socket.close()


# --- the whole ----------------------------------------------------------------------------------------------


def serve(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT.

    Raises SettingsError when the settings are not safe to serve with, or the address cannot be had.
    """
    warning = refuse_unsafe_start(settings)
    observability.start_logging(settings.log_level)
    sockets = {"calls": listen(settings.host, settings.port)}
    if settings.operator_port is not None:
        sockets["operators"] = listen(settings.host, settings.operator_port)
    if warning:
        LOG.warning(warning)
    if settings.public_url is None:
        LOG.warning("no public address is set (ONCOBONE_PUBLIC_URL): cards link neither to rules nor to the dossier")
    if settings.workers == 1:
        _one_process(settings, sockets)
    else:
        with tempfile.TemporaryDirectory(prefix="oncobone-metrics-") as shared:
            os.environ[observability.SHARED_METRICS] = shared
            _several_processes(settings, sockets)


def listen(host: str, port: int) -> socket.socket:
    """
    Open a listening socket; port 0 takes a free one.

    Raises SettingsError when the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise SettingsError(f"{host} port {port} cannot be had: {error.strerror or error}.") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Write where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _make_app(settings: Settings) -> Flask:
    try:
        app = create_app(settings, store=store_for(settings))
    except (StoreError, AuditKeyError) as error:
        raise SettingsError(str(error)) from None
    try:
        warm_up(app)
    except Exception as error:  # noqa: BLE001 - a fault in one topic must not keep the others from being served
        observability.log_failure(error, "the warm-up call failed")
    _spare_the_collector()
    return app


def _spare_the_collector() -> None:
    """Put the tables made at the start out of the garbage collector's sight: they stay, and to go over them is slow."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def warm_up(app: Flask) -> None:
    """Judge one made-up call on each hook, so that the first real one finds everything read and built."""
    desk: Desk = app.extensions[DESK]
    for service in desk.services:
        context: dict[str, object] = {
            "userId": "Practitioner/warm-up",
            "patientId": "warm-up",
            "encounterId": "warm-up",
        }
        if service.hook.startswith("order"):
            context |= {"draftOrders": {"resourceType": "Bundle", "entry": [{"resource": _ORDER}]}, "selections": []}
        body = {
            "hook": service.hook,
            "hookInstance": "warm-up",
            "context": context,
            "prefetch": {
                "patient": {"resourceType": "Patient", "id": "warm-up", "birthDate": "1960-01-01", "gender": "female"},
                "conditions": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": _CONDITION}]},
            },
        }
        for language in LANGUAGES:
            desk.words(*desk.judge(msgspec.json.encode(body), [service]), language)


_CONDITION = {
    "resourceType": "Condition",
    "id": "warm-up",
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C90.00"}]},
    "subject": {"reference": "Patient/warm-up"},
}
_ORDER = {
    "resourceType": "MedicationRequest",
    "id": "warm-up",
    "status": "draft",
    "intent": "order",
    "medicationCodeableConcept": {"text": "zoledronic acid 4 mg"},
    "subject": {"reference": "Patient/warm-up"},
}


def _announce(sockets: Mapping[str, socket.socket]) -> None:
    for name, listener in sockets.items():
        LOG.info(f"listening for {name}", extra={"address": address_of(listener)})
    sys.stdout.write(f"OncoBone answers at {address_of(sockets['calls'])}/cds-services\n")
    sys.stdout.flush()


def _one_process(settings: Settings, sockets: Mapping[str, socket.socket]) -> None:
    stop = Stop()
    stop.on_signals()
    app = _make_app(settings)
    _announce(sockets)
    Process(settings, app, sockets).run(lambda: stop.asked)
    LOG.info("stopped")


def _several_processes(settings: Settings, sockets: Mapping[str, socket.socket]) -> None:
    """Keep so many processes serving on the same sockets; replace one that dies."""
    stop = Stop()
    stop.on_signals()
    app = _make_app(settings)  # once, before the fork: its tables are shared
    born: dict[int, float] = {}
    for _ in range(settings.workers):
        _fork(settings, app, sockets, born)
    _announce(sockets)
    quick_deaths = 0
    while not stop.asked:
        for pid, status in _ended(born):
            lived = time.monotonic() - born.pop(pid)
            # SIGKILL comes from outside (an operator, the system short of memory) and says nothing of the start.
            from_outside = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            quick_deaths = quick_deaths + 1 if lived < QUICK_DEATH_S and not from_outside else 0
            LOG.error("a process died and is replaced", extra={"child": pid})
            observability.forget_process(pid)
            if quick_deaths > MOST_QUICK_DEATHS:
                _end_all(born, settings)
                raise SettingsError("Processes die as soon as they start; see the log above.")
            _fork(settings, app, sockets, born)
        time.sleep(0.05)
    # Held open here, the sockets would take connections that no process answers any more.
    for listener in sockets.values():
        listener.close()
    _end_all(born, settings)
    LOG.info("stopped")


def _fork(settings: Settings, app: Flask, sockets: Mapping[str, socket.socket], born: dict[int, float]) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        born[pid] = time.monotonic()
        return
    status = 1
    try:
        stop = Stop()
        stop.on_signals()
        # A parent that was killed cannot tell its children to stop: they see that they are orphans.
        Process(settings, app, sockets).run(lambda: stop.asked or os.getppid() != parent)
        status = 0
    except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, and the parent replaces this process
        observability.log_failure(error, "a process fails")
    finally:
        os._exit(status)  # never back into the parent's code


def _ended(born: Mapping[int, float]) -> Sequence[tuple[int, int]]:
    """Give the processes that ended, each with its wait status."""
    asked = [(pid, *os.waitpid(pid, os.WNOHANG)) for pid in born]
    return [(pid, status) for pid, ended, status in asked if ended == pid]


def _end_all(born: dict[int, float], settings: Settings) -> None:
    for pid in born:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + settings.drain_seconds + settings.stop_seconds + 5
    while born and time.monotonic() < deadline:
        for pid, _ in _ended(born):
            born.pop(pid)
        time.sleep(0.02)
    for pid in born:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
