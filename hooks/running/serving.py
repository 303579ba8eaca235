"""Serves the application for real: one process, or several under gunicorn's arbiter, on the same sockets."""

from __future__ import annotations

import faulthandler
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gunicorn.systemd import SD_LISTEN_FDS_START, listen_fds, sd_notify

from hooks.running.front import BACKLOG, Front, raise_file_limit
from hooks.running.warming import make_app
from hooks.settings import Settings, SettingsError, refuse_unsafe_start
from hooks.watching import observability, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

LOG = observability.LOG


def serve(settings: Settings, again: Callable[[], Settings] | None = None) -> None:
    """
    Serve until SIGTERM or SIGINT. `again` reads the settings once more, for a reload of several processes.

    Raises SettingsError when the settings are not safe to serve with, or the address cannot be had.
    """
    warning = refuse_unsafe_start(settings)
    observability.start_logging(settings.log_level)
    connections = raise_file_limit()
    sockets = _sockets(settings)
    if warning:
        LOG.warning(warning)
    if settings.public_url is None:
        LOG.warning("no public address is set (ONCOBONE_PUBLIC_URL): cards link neither to rules nor to the dossier")
    if settings.workers == 1:
        _serve_alone(settings, sockets, connections)
        return
    from hooks.running.processes import serve_with_several  # noqa: PLC0415 - one process needs no arbiter

    with shared.folder():
        tell = partial(announce, console=settings.console)
        serve_with_several(settings, again or (lambda: settings), sockets, connections, tell)


def _serve_alone(settings: Settings, sockets: Mapping[str, socket.socket], connections: int) -> None:
    stop = _Stop()
    stop.on_signals()
    faulthandler.enable(all_threads=False)  # nobody is there who could make a line of the log of where it crashed
    app = make_app(settings)
    announce(sockets, console=settings.console)
    sd_notify("READY=1", LOG)
    Front(settings, app, sockets, connections).run(lambda: stop.asked)
    LOG.info("stopped")


@dataclass(slots=True)
class _Stop:
    """Whether somebody has asked this process to stop."""

    asked: bool = False

    def on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a handler
        self.asked = True


def _sockets(settings: Settings) -> dict[str, socket.socket]:
    """Give the listening sockets: those that systemd holds open for us, else new ones."""
    given = _inherited()
    wanted = {"calls": (settings.host, settings.port)}
    if settings.operator_port is not None:
        wanted["operators"] = (settings.host, settings.operator_port)
    if given and len(given) < len(wanted):
        raise SettingsError(f"{len(given)} sockets were handed over, {len(wanted)} are needed: {', '.join(wanted)}.")
    if given:
        return dict(zip(wanted, given, strict=False))
    return {name: listen(host, port) for name, (host, port) in wanted.items()}


def _inherited() -> list[socket.socket]:
    return [socket.socket(fileno=SD_LISTEN_FDS_START + number) for number in range(listen_fds())]


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
        raise SettingsError(
            f"{host} port {port} cannot be had: {error.strerror or error}. Choose another (--port, ONCOBONE_PORT)."
        ) from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Write where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(sockets: Mapping[str, socket.socket], *, console: bool) -> None:
    """Say where calls are answered, in the log and, for a person, on standard output; there also what to open."""
    for name, listener in sockets.items():
        LOG.info(f"listening for {name}", extra={"address": address_of(listener)})
    address = address_of(sockets["calls"])
    lines = f"OncoBone answers at {address}/cds-services\n" + (f"To try it out open {address}\n" if console else "")
    sys.stdout.write(lines)  # at once: who waits for the first line may have left before a second one
    sys.stdout.flush()
