"""
The HTTP front of one process: waitress, told what it does not do by itself.

A whole request is read before it is given to a thread, so that slow clients cost a connection and nothing else; an
answer leaves in one piece. A stop finishes what is under way.
"""

from __future__ import annotations

import contextlib
import errno
import math
import re
import resource
import select
import socket
import threading
import time
import weakref
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from hooks.application import create_operator_app
from hooks.errors import RETRY_SECONDS, outcome
from hooks.settings import MIB
from hooks.trust.gate import WAITED
from hooks.views import is_cds
from hooks.watching import observability

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from hooks.settings import Settings

LOG = observability.LOG

CONNECTIONS = 2000
FILES_OF_OURS = 512
"""What a process has open beside its callers: the database, logs, and two for each fetch of each thread."""
IDLE_S = 20
HEADER_S = 10.0
BODY_S = 20.0
JUST_HEARD_S = 1.0
TICK_S = 0.25
BACKLOG = 1024
STUCK_S = 22.0
"""No call takes so long: fetching ends after 8 s at the most, feedback after 6 s, the queue after 1 s."""
ACCEPT_PAUSE_S = 0.5
ACCEPT_ERROR_EVERY_S = 60.0
SETTLE_S = 1.0
"""So often the counters that other processes show get what this one has noted."""
LARGE = 4 * MIB
LARGE_AT_ONCE = 4
"""So many bodies above that size are received into memory at a time, by a process; further ones into files."""
ANSWER_AT_ONCE = MIB
"""An answer of so many bytes leaves when it is whole, and not piece by piece as it is made."""
_TRANSFER_CODING = re.compile(rb"\ntransfer[-_]encoding[ \t]*:", re.IGNORECASE)
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class _Large(OverflowableBuffer):  # type: ignore[misc] # waitress has no types
    """A large body in memory, of which there are few at a time; by way of a file it takes twice as long to receive."""

    alive: ClassVar[weakref.WeakSet[_Large]] = weakref.WeakSet()

    @classmethod
    def of(cls, length: int) -> _Large | None:
        """Make one for so many bytes; None when there are enough of them."""
        if len(cls.alive) >= LARGE_AT_ONCE:
            return None
        made = cls(length + 1)
        cls.alive.add(made)
        return made


class _NoRoomError(Error):  # type: ignore[misc] # waitress has no types
    """No memory for a body; the same one may find room in a moment."""

    code = 503
    reason = "Service Unavailable"


class _Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """Refuses a request that says in two ways how long it is: who stands in between may have believed the other one."""

    chunked: bool
    headers: dict[str, str]
    body_rcv: Any

    def received(self, data: bytes) -> int:
        try:
            taken: int = super().received(data)
        except MemoryError:
            # What has come of the body gives its room to the answer; nothing more is taken on this connection.
            self.body_rcv = None
            self.error = _NoRoomError("no memory for the body")
            self.completed = True
            return len(data)
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if LARGE < self.content_length < self.adj.max_request_body_size:
            large = _Large.of(self.content_length)
            if large is not None:
                self.body_rcv.buf = large
        # Waitress takes the header away, and an empty or misspelt one with it: what counts is that it was sent.
        coded = _TRANSFER_CODING.search(header_plus) is not None
        if coded and (not self.chunked or "CONTENT_LENGTH" in self.headers):
            self.chunked = False
            raise ParsingError("a length and a transfer coding")


class _Outcome(ErrorTask):  # type: ignore[misc] # waitress has no types
    """The server's own errors (a header too large, a body beyond all limits) have our one shape too."""

    def execute(self) -> None:
        error = self.request.error
        # What a caller sends is never the server's error, not even an encoding that nobody has implemented.
        code, reason = (400, "Bad Request") if error.code == HTTPStatus.NOT_IMPLEMENTED else (error.code, error.reason)
        body = msgspec.json.encode(outcome(code))
        self.status = f"{code} {reason}"
        self.response_headers += [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        settings: Settings = self.channel.server.front.settings
        if settings.auth == "open" and settings.loopback and is_cds(getattr(self.request, "path", "")):
            self.response_headers.append(("Access-Control-Allow-Origin", "*"))
        if isinstance(error, _NoRoomError):
            LOG.error("no memory for the body of a request", extra={"status": code})
            self.response_headers.append(("Retry-After", RETRY_SECONDS))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Task(WSGITask):  # type: ignore[misc] # waitress has no types
    """Tells the application how long the request stood in the queue; closes connections of a stopping server."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[WAITED] = time.monotonic() - (self.channel.queued_at or time.monotonic())
        return environ

    def execute(self) -> None:
        front: Front = self.channel.server.front
        if front.stopping:
            self.set_close_on_finish()
        front.under_way[id(self)] = time.monotonic()
        try:
            super().execute()
        finally:
            front.under_way.pop(id(self), None)

    def service(self) -> None:
        self.channel.held = []
        super().service()
        self.channel.let_go()


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that knows since when a request is being received, and since when one waits."""

    task_class = _Task
    error_task_class = _Outcome
    parser_class = _Parser
    queued_at: float | None = None
    receiving_since: float | None = None
    held: list[bytes] | None = None
    """The parts of an answer that is being made; who dies in the middle of it has sent nothing yet."""

    @property
    def last_activity(self) -> float:
        """When something last happened here, by a clock that nobody sets: a jump of the other one cuts nobody off."""
        return self._active

    @last_activity.setter
    def last_activity(self, _by_the_wall_clock: float) -> None:
        self._active = time.monotonic()

    def write_soon(self, data: Any) -> int:  # noqa: ANN401 - bytes, or a file
        if self.held is not None and isinstance(data, bytes):
            self.held.append(data)
            if sum(map(len, self.held)) < ANSWER_AT_ONCE:
                return len(data)
            self.let_go()
            return len(data)
        self.let_go()
        sent: int = super().write_soon(data)
        return sent

    def let_go(self) -> None:
        """Send what was held back, in one piece."""
        held, self.held = self.held, None
        if held:
            super().write_soon(b"".join(held))

    def received(self, data: bytes) -> bool:
        if self.receiving_since is None:
            self.receiving_since = time.monotonic()
        self.queued_at = time.monotonic()
        taken: bool = super().received(data)
        if self.request is None:
            self.receiving_since = None
        return taken

    def expects(self, now: float) -> bool:
        """Tell whether a request is under way here, or on its way: who has just connected or called may send one."""
        if self.requests or self.total_outbufs_len or self.request is not None:
            return True
        return now - self.last_activity < JUST_HEARD_S

    def dawdles(self, now: float) -> bool:
        """Tell whether a request takes too long to arrive: a byte now and then keeps no connection alive."""
        if self.request is None or self.receiving_since is None or self.requests:
            return False
        return bool(now - self.receiving_since > (BODY_S if self.request.headers_finished else HEADER_S))


class _Server(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    """A listening socket that rests a moment when the machine has no file left for a connection."""

    channel_class = _Channel
    front: Front
    rest_until = 0.0
    next_complaint = 0.0
    next_channel_cleanup = math.inf
    """Waitress looks for silent connections by the wall clock, and so never; we do, by the other."""
    next_look = 0.0

    def readable(self) -> bool:
        now = time.monotonic()
        if now >= self.next_look:
            self.next_look = now + self.adj.cleanup_interval
            self.maintenance(now)
        taking: bool = super().readable()
        return taking and now >= self.rest_until

    def handle_accept(self) -> None:
        try:
            accepted = self.accept()
            if accepted is None:
                return
            connection, address = accepted
            self.set_socket_options(connection)
        except OSError as error:
            now = time.monotonic()
            if error.errno in _FULL:
                self.rest_until = (
                    now + ACCEPT_PAUSE_S
                )  # the socket stays readable: without a rest it would be asked at once
            if now >= self.next_complaint:
                self.next_complaint = now + ACCEPT_ERROR_EVERY_S
                LOG.warning("a connection could not be taken", extra={"cause": errno.errorcode.get(error.errno or 0)})
            return
        self.channel_class(self, connection, self.fix_addr(address), self.adj, map=self._map)


def raise_file_limit() -> int:
    """
    Let this process open as many files as the machine allows; give how many connections it can then hold.

    That is at most `CONNECTIONS`; less, with a line in the log, where the machine allows less.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # a limit of the kernel's below the hard one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= CONNECTIONS + FILES_OF_OURS:
        return CONNECTIONS
    held = max(soft // 2, soft - FILES_OF_OURS)
    LOG.warning("the limit of open files leaves room for fewer connections", extra={"connections": held})
    return held


@dataclass(slots=True)
class Front:
    """One serving process: its sockets, its applications, and the loop that moves bytes between them."""

    settings: Settings
    app: Flask
    sockets: Mapping[str, socket.socket]
    connections: int = CONNECTIONS
    under_way: dict[int, float] = field(default_factory=dict)  # calls at work -> since when
    channels: dict[int, Any] = field(default_factory=dict)
    servers: list[Any] = field(default_factory=list)
    next_settling: float = 0.0

    @property
    def stopping(self) -> bool:
        """Whether it finishes what it has and takes nothing for long."""
        return observability.of(self.app).health.stopping

    def stuck(self) -> bool:
        """Tell whether a call has been at work for longer than any call can be."""
        since = min(self.under_way.copy().values(), default=None)
        return since is not None and time.monotonic() - since > STUCK_S

    def run(self, should_stop: Callable[[], bool], beat: Callable[[], None] = lambda: None) -> None:
        """
        Serve until asked to stop; then finish the calls under way and return.

        `beat` is called several times a second, as long as this loop goes round.
        """
        self._open()
        self._turn_until(None, should_stop, beat)
        hurried = self.stuck()
        observability.of(self.app).health.stopping = True
        if not hurried:
            self._turn_until(time.monotonic() + self.settings.drain_seconds, lambda: False, beat)
        self._refuse_new_connections()
        longest = 2.0 if hurried else self.settings.stop_seconds
        self._turn_until(time.monotonic() + longest, lambda: not self._busy(), beat)
        for server in self.servers:
            server.task_dispatcher.shutdown(timeout=0 if hurried else 1)
        wasyncore.close_all(self.channels)
        ending = threading.Thread(target=self._last_words, daemon=True)
        ending.start()
        while ending.is_alive():
            ending.join(TICK_S)
            beat()

    def _last_words(self) -> None:
        observability.of(self.app).metrics.settle()
        for each in observability.of(self.app).at_end:
            each()

    def _open(self) -> None:
        applications = {"calls": self.app, "operators": create_operator_app(self.app)}
        for name, listener in self.sockets.items():
            adjustments = Adjustments(
                sockets=[listener],
                threads=self.settings.threads if name == "calls" else 2,
                connection_limit=self.connections,
                asyncore_use_poll=True,
                channel_timeout=IDLE_S,
                cleanup_interval=5,
                recv_bytes=256 * 1024,
                inbuf_overflow=LARGE,  # a body above it may go to an unnamed temporary file
                outbuf_overflow=4 * MIB,
                max_request_body_size=self.settings.max_body_bytes + MIB,
                expose_tracebacks=False,
                ident=None,
                backlog=BACKLOG,
            )
            threads = ThreadedTaskDispatcher()
            threads.set_thread_count(adjustments.threads)
            server = _Server(
                applications[name],
                self.channels,
                _sock=listener,
                dispatcher=threads,
                adj=adjustments,
                sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
                bind_socket=False,
            )
            server.front = self
            self.servers.append(server)

    def _turn(self, wait_s: float = TICK_S) -> None:
        wasyncore.loop(timeout=wait_s, use_poll=True, map=self.channels, count=1)
        now = time.monotonic()
        for channel in self._connections():
            if channel.dawdles(now):
                channel.will_close = True
        if now >= self.next_settling:
            self.next_settling = now + SETTLE_S
            observability.of(self.app).metrics.settle()

    def _turn_until(self, deadline: float | None, or_else: Callable[[], bool], beat: Callable[[], None]) -> None:
        while (deadline is None or time.monotonic() < deadline) and not or_else():
            self._turn(TICK_S if deadline is None else 0.05)
            beat()

    def _connections(self) -> list[Any]:
        return [channel for server in self.servers for channel in list(server.active_channels.values())]

    def _busy(self) -> bool:
        now = time.monotonic()
        return any(channel.expects(now) for channel in self._connections())

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
