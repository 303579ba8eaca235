"""
Several processes under gunicorn's arbiter, each with waitress as its front.

The arbiter replaces a process that dies or hangs, reads the settings again on SIGHUP without cutting off a call, and
gives up only when a process cannot start. Why waitress and not gunicorn's own workers: docs/operations.md, "Which
server".
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import tempfile
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from hooks.running.front import BACKLOG, Front
from hooks.running.warming import make_app
from hooks.settings import SettingsError
from hooks.watching import observability, shared

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from flask import Flask

    from hooks.settings import Settings

LOG = observability.LOG

HEARTBEAT_S = 20
"""A process whose loop has not gone round for so long is replaced; the arbiter looks once a second."""
STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
SLACK_S = 5.0


def serve_with_several(
    settings: Settings,
    again: Callable[[], Settings],
    sockets: Mapping[str, socket.socket],
    connections: int,
    announce: Callable[[Mapping[str, socket.socket]], None],
) -> None:
    """
    Serve with several processes until SIGTERM or SIGINT; `again` reads the settings once more, on SIGHUP.

    Raises SettingsError when the application cannot be made.
    """
    try:
        _Arbiter(_Application(settings, again, sockets, connections), announce).run()
    except SystemExit as left:
        if left.code:
            raise SettingsError("The processes cannot start; see the log above.") from None
    LOG.info("stopped")


class _Application(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """What the arbiter is to run, and how."""

    def __init__(
        self,
        settings: Settings,
        again: Callable[[], Settings],
        sockets: Mapping[str, socket.socket],
        connections: int,
    ) -> None:
        self.settings = settings
        self.again = again
        self.connections = connections
        self._sockets = dict(sockets)
        self._ended = shared.Ended()
        self._bind = [f"fd://{listener.fileno()}" for listener in sockets.values()]
        super().__init__(prog="oncobone")

    def load_config(self) -> None:
        """Tell the arbiter how to run us."""
        settings = self.settings
        longest_stop = settings.drain_seconds + settings.stop_seconds + settings.last_words_seconds + SLACK_S
        told: dict[str, object] = {
            "bind": self._bind,
            "backlog": BACKLOG,
            "workers": settings.workers,
            "worker_class": WaitressWorker,
            "preload_app": True,  # made once, before the fork: its tables are shared
            "timeout": HEARTBEAT_S,
            "graceful_timeout": int(longest_stop),
            "control_socket_disable": True,
            "logger_class": _Log,
            "proc_name": "oncobone",
            "when_ready": self._handed_over,
            "child_exit": self._has_ended,
        }
        for name, value in told.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application."""
        return make_app(self.settings)

    def reload(self) -> None:
        """Read the settings again and make the application anew; with settings that are no good nothing changes."""
        former, self.settings = self.settings, self._read_again()
        try:
            self.callable = self.load()
        except SettingsError as error:
            LOG.error(f"the settings were not taken: {error}")  # noqa: TRY400 - a sentence, not a traceback
            self.settings = former
        else:
            LOG.info("the settings were read again")
        self.cfg = Config(self.usage, prog=self.prog)
        self.load_config()

    def named(self, listeners: Sequence[Any]) -> dict[str, socket.socket]:
        """Say what each of the arbiter's sockets is for; they are in the order in which they were bound."""
        return dict(zip(self._sockets, (each.sock for each in listeners), strict=False))

    def _read_again(self) -> Settings:
        try:
            return self.again()
        except SettingsError as error:
            LOG.error(f"the settings were not taken: {error}")  # noqa: TRY400 - the same
            return self.settings

    def _handed_over(self, arbiter: Arbiter) -> None:  # noqa: ARG002 - as gunicorn calls it
        for listener in self._sockets.values():
            listener.detach()  # gunicorn has handles of its own, and has closed ours

    def _has_ended(self, arbiter: Arbiter, worker: WaitressWorker) -> None:  # noqa: ARG002 - as gunicorn calls it
        self._ended.add(worker.pid)
        if where := worker.where_it_crashed():
            LOG.error("a process has crashed", extra={"child": worker.pid, "where": where})
        else:
            LOG.info("a process has ended", extra={"child": worker.pid})


class _Arbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Says that calls are answered when its processes are there."""

    def __init__(self, application: _Application, announce: Callable[[Mapping[str, socket.socket]], None]) -> None:
        super().__init__(application)
        self._announce: Callable[[Mapping[str, socket.socket]], None] | None = announce

    def spawn_workers(self) -> None:
        """Fork as many as are missing."""
        super().spawn_workers()
        if self._announce is not None:
            self._announce(self.app.named(self.LISTENERS))
            self._announce = None

    def spawn_worker(self) -> int:
        """Fork one. A signal to stop that comes before it can hear waits for it: gunicorn's is lost, and sent once."""
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            pid: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        return pid


class WaitressWorker(Worker):  # type: ignore[misc] # gunicorn has no types
    """One process of the arbiter's: waitress on the sockets that were open before it."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as gunicorn calls it
        super().__init__(*arguments)
        self.notify()  # a file that was never touched looks new for ever: one that hangs at its start would be missed
        self._dump = tempfile.TemporaryFile()  # noqa: SIM115 - the arbiter reads it when this process has ended

    def where_it_crashed(self) -> list[str]:
        """Say where the process was when a crash ended it, or when it had hung for too long; empty when none did."""
        with self._dump as dump:
            dump.seek(0)
            return observability.places_of_crash(dump.read().decode(errors="replace"))

    def run(self) -> None:
        """Serve until the arbiter says so or is gone, or a call is stuck; never returns to the arbiter's code."""
        application: _Application = self.app
        front = Front(application.settings, self.wsgi, application.named(self.sockets), application.connections)
        status = 1
        try:
            front.run(lambda: not self.alive or self.ppid != os.getppid() or front.stuck(), self.notify)
            if front.stuck():
                LOG.error("a call does not end; its process is replaced", extra={"child": os.getpid()})
            status = 0
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, and the arbiter replaces this process
            observability.log_failure(error, "a process fails")
        finally:
            os._exit(status)

    def init_signals(self) -> None:
        """Let Ctrl-C, which reaches every process of a terminal, stop this one as gracefully as SIGTERM does."""
        super().init_signals()
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self.handle_exit)
        faulthandler.enable(self._dump, all_threads=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload is the arbiter's business
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a handler
        """Leave at once: the arbiter has not heard of us for too long."""
        os._exit(1)


class _Log(Logger):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's messages as lines of ours; they tell of processes and signals, and of nothing that a caller sent."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.error_log = logging.getLogger("oncobone.processes")

    def setup(self, cfg: Config) -> None:
        """Leave the handlers as they are."""
        self.cfg = cfg
        self._access_log_enabled = False

    def reopen_files(self) -> None:
        """There are none."""

    def close_on_exec(self) -> None:
        """There are none."""
