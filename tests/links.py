"""A network between a program and a server, as slow as a test wants it, which can also be cut or go silent."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import socket
import threading
import time


class Link:
    """
    Passes bytes on to a port of this machine, each `delay_s` after it came, in both directions.

    `silent` keeps everything back without closing anything, `cut` closes what is open and takes nothing new.
    """

    def __init__(self, port: int, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.silent = False
        self._to = port
        self._up = True
        self._over = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._due: list[tuple[float, int, socket.socket, bytes]] = []
        self._ended: list[socket.socket] = []
        self._number = itertools.count()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break off every connection, and refuse new ones."""
        self._up = False

    def mend(self) -> None:
        """Let connections through again."""
        self._up = True

    def close(self) -> None:
        """End it."""
        self._over = True
        self._thread.join(5)

    def _run(self) -> None:
        while not self._over:
            if not self._up:
                self._drop_all()
            wait = 0.005 if not self._due else min(0.005, max(0.0, self._due[0][0] - time.monotonic()))
            readable, _, _ = select.select([self._listener, *self._peers], [], [], wait)
            for ready in readable:
                if ready is self._listener:
                    self._accept()
                elif ready in self._peers:
                    self._read(ready)
            self._pass_on()
        self._drop_all()
        self._listener.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if not self._up:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._to), 5)
        except OSError:
            near.close()
            return
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers |= {near: far, far: near}

    def _read(self, ready: socket.socket) -> None:
        try:
            data = ready.recv(1 << 20)
        except OSError:
            data = b""
        heapq.heappush(self._due, (time.monotonic() + self.delay_s, next(self._number), self._peers[ready], data))
        if not data:
            # What came before is still on its way; the other end is told after it.
            del self._peers[ready]
            self._ended.append(ready)

    def _pass_on(self) -> None:
        while self._due and not self.silent and self._due[0][0] <= time.monotonic():
            _, _, to, data = heapq.heappop(self._due)
            with contextlib.suppress(OSError):
                if data:
                    to.sendall(data)
                else:
                    to.close()
                    self._peers.pop(to, None)

    def _drop_all(self) -> None:
        for each in [*self._peers, *self._ended, *(to for _, _, to, _ in self._due)]:
            with contextlib.suppress(OSError):
                each.close()
        self._peers.clear()
        self._ended.clear()
        self._due.clear()
