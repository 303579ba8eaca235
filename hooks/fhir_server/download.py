"""
One GET, and several at once: within its time and its size, whatever the server does.

No redirect is followed, no cookie kept, no proxy and no .netrc asked; what went wrong is a word, never a URL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from hooks.fhir_server.watches import FetchError, Watch, here

log = logging.getLogger("oncobone.fetch")

T = TypeVar("T")

MAX_RESPONSE: Final = 8 * 1024 * 1024  # bytes of one page
LAST_WORDS: Final = 0.1  # seconds for a thread to tell what it has, once its connections are cut off


def make_ready() -> None:
    """Read what a fetch needs, so that the first one does not pay for it."""
    from hooks.fhir_server import one_get  # noqa: F401, PLC0415 - to be read, as it says


def download(
    url: str,
    headers: Mapping[str, str],
    deadline: float,
    limit: int = MAX_RESPONSE,
    ca_file: str | None = None,
) -> bytes:
    """
    The body of a GET that was answered with 200, at most `limit` bytes of it, before `deadline` (monotonic seconds).

    `ca_file` holds the certificates (PEM) to trust instead of the public ones. Follows no redirect, sends and keeps
    no cookie, asks no proxy and no .netrc. Raises `FetchError`.
    """
    from hooks.fhir_server.one_get import get  # noqa: PLC0415 - a site that fetches nothing never reads it

    try:
        body = get(url, headers, deadline, limit, ca_file)
    except FetchError as error:
        failure: FetchError | None = error
    else:
        failure = None
    if time.monotonic() >= deadline:
        # Whatever it looks like: a connection that is cut off among the headers reads like an empty answer.
        raise FetchError("timeout")
    if failure is not None:
        raise failure
    return body


def in_parallel(jobs: Mapping[str, Callable[[], T]], deadline: float) -> dict[str, T | FetchError]:
    """
    Runs jobs at once, each on a thread of its own, until all are done or the deadline (monotonic seconds) is over.

    Then the connections of those under way are cut off. A job that does not end even so has no result.
    """
    results: dict[str, T | FetchError] = {}
    watches = {key: Watch() for key in jobs}

    def run(key: str) -> None:
        here.watch = watches[key]
        try:
            outcome: T | FetchError = jobs[key]()
        except FetchError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the thread's last chance to tell; the kind alone, never the text
            log.error("fetch failed", extra={"component": "fetch", "error": type(error).__name__})  # noqa: TRY400
            outcome = FetchError("connection")
        results[key] = outcome
        watches[key].close()

    # Daemon threads: a name server that hangs cannot be interrupted, and must not hold the process.
    threads = {key: threading.Thread(target=run, args=(key,), name=f"fetch-{key}", daemon=True) for key in jobs}
    for key in list(threads):
        try:
            threads[key].start()
        except RuntimeError:  # the machine has no thread left: what could not be asked did not come
            del threads[key]
            results[key] = FetchError("connection")
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    for key, thread in threads.items():
        if thread.is_alive():
            watches[key].cut()
    for thread in threads.values():
        thread.join(max(0.0, deadline + LAST_WORDS - time.monotonic()))
    return dict(results)
