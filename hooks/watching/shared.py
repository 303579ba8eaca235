"""
What several processes of a service count together: a folder with files of each, added up when metrics are read.

The counts of a process that has ended are added to those of its like, and its files removed: a process that dies
again and again would else leave files that each reading goes over, until the service stops.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import struct
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import mmap_dict, multiprocess

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOG = logging.getLogger("oncobone.shared")
VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where the library, and we, look for the folder; without it a process counts for itself."""
PREFIX: Final = "oncobone-metrics-"
COUNTS: Final = ("counter", "histogram")
WAITING: Final = "gauge_livesum"
"""How the files are called that hold how many audit records wait; only gauges of this kind are in them."""


@contextlib.contextmanager
def folder() -> Iterator[None]:
    """
    Make the folder of this service, for it and the processes that it forks, and remove it at the end.

    What services that were killed have left behind is removed as well.
    """
    _remove_orphans()
    # Under another name until it is held, or a service that starts now would take it for an orphan.
    made = Path(tempfile.mkdtemp(prefix="oncobone-new-"))
    owner = os.getpid()
    with (made / "alive").open("wb") as held:  # as long as one process lives
        fcntl.flock(held, fcntl.LOCK_EX)
        made = made.rename(made.with_name(made.name.replace("oncobone-new-", PREFIX)))
        os.environ[VARIABLE] = str(made)
        try:
            yield
        finally:
            if os.getpid() == owner:  # the arbiter's children leave through here too, when they cannot start
                shutil.rmtree(made, ignore_errors=True)


def _remove_orphans() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Those of a service that lives are held, those of another user cannot be opened.
        with contextlib.suppress(OSError), (left / "alive").open("rb+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _tell_lost(waiting(left.glob(f"{WAITING}_*.db")))
            shutil.rmtree(left, ignore_errors=True)


def _tell_lost(lost: float, pid: int | None = None) -> None:
    if lost:
        told = {"component": "store", "lost": int(lost), "child": pid}
        LOG.error("audit records are lost: they waited for the store in a process that was killed", extra=told)


def waiting(files: Iterable[Path]) -> float:
    """Give how many audit records wait for the store, as such files of processes say."""
    merged = multiprocess.MultiProcessCollector.merge(map(str, files))  # type: ignore[no-untyped-call] # it has no types
    return float(sum(sample.value for gauge in merged for sample in gauge.samples))


@contextlib.contextmanager
def read() -> Iterator[None]:
    """Read the files of all processes within it: meanwhile none is added up or removed."""
    with _lock(fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def _lock(how: int) -> Iterator[None]:
    with (Path(os.environ[VARIABLE]) / "reading").open("ab") as lock:
        fcntl.flock(lock, how)
        yield


class Ended:
    """The processes of this service that have ended, and whose counts are not added up yet."""

    def __init__(self) -> None:
        self._pids: set[int] = set()

    def add(self, pid: int) -> None:
        """Take a process out: its gauges out of the sums, its counts to those of the others that have ended."""
        if not os.environ.get(VARIABLE):
            return
        place = Path(os.environ[VARIABLE])
        _tell_lost(waiting(place.glob(f"{WAITING}_{pid}.db")), pid)
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # the library has no types here
        self._pids.add(pid)
        # Somebody reads, and may hang: who watches over the processes waits for none of them. The next one does it.
        with contextlib.suppress(OSError), _lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            for kind in COUNTS:
                _add_up(place, kind, self._pids)
            self._pids.clear()


def _add_up(place: Path, kind: str, pids: Iterable[int]) -> None:
    ended = [path for pid in pids if (path := place / f"{kind}_{pid}.db").exists()]
    together = place / f"{kind}_ended.db"
    sums: Counter[str] = Counter()
    for path in [together, *ended]:
        # One that was killed as it made its file has left an empty one.
        with contextlib.suppress(FileNotFoundError, struct.error):
            for key, value, *_ in mmap_dict.MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call] # as above
                sums[key] += value
    if not ended:
        return
    written = place / f"{kind}.new"
    written.unlink(missing_ok=True)
    values: Any = mmap_dict.MmapedDict(str(written))  # type: ignore[no-untyped-call] # as above
    for key, value in sums.items():
        values.write_value(key, value, 0.0)
    values.close()
    written.replace(together)
    for path in ended:
        path.unlink()
