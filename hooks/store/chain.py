"""
The audit chain: one key per site, which joins audit records and turns ids into keyed hashes.

A record's hash covers the record before it, so one that is changed, taken out or put in shows. Without the key
nobody can make a hash fit, or tell whose id a keyed hash stands for.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy.engine import make_url

log = logging.getLogger("oncobone.audit")

KEY_BYTES: Final = 32


class AuditKeyError(Exception):
    """The key of the audit chain can neither be read nor made; the message says why."""


class AuditEntry(NamedTuple):
    """One row of an audit chain."""

    tenant: str
    seq: int
    key_id: str
    previous: str
    record: str  # JSON, exactly the text that was hashed
    hash: str


class Chain:
    """Joins the records of a tenant, and hashes ids, with one key."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")  # each hash begins as a copy: the key is taken in once
        self.key_id = self._digest("key", "")[:16]

    def link(self, tenant: str, seq: int, previous: str, record: str) -> str:
        """The hash of a record in its place: 64 hexadecimal digits."""
        return self._digest("chain", f"{tenant}\n{seq}\n{previous}\n{record}")

    def entry(self, tenant: str, seq: int, previous: str, record: str) -> AuditEntry:
        """A record joined to the one before it."""
        return AuditEntry(tenant, seq, self.key_id, previous, record, self.link(tenant, seq, previous, record))

    def pseudonym(self, tenant: str, kind: str, identifier: str) -> str:
        """A keyed hash of an id (`kind`: patient, user, resource): within a tenant the same id has the same hash."""
        return self._digest("id", f"{tenant}\n{kind}\n{identifier}")[:32]

    def key_for(self, purpose: str) -> bytes:
        """A key of 32 bytes for another use; from it nobody can tell this one."""
        return bytes.fromhex(self._digest("derived", purpose))

    def _digest(self, purpose: str, text: str) -> str:
        # Hashed with its purpose, so that no id can be made to look like a link of the chain.
        made = self._keyed.copy()
        made.update(f"{purpose}\n{text}".encode("utf-8", "replace"))
        return made.hexdigest()


@dataclass(frozen=True, slots=True)
class Verification:
    """What the audit chains look like: problems (sentences), and the newest entry of each tenant."""

    entries: int
    problems: list[str]
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)


def verify(entries: Iterable[AuditEntry], chain: Chain, expected: Iterable[tuple[str, int, str]] = ()) -> Verification:
    """
    Checks every link, entries coming by tenant and place.

    A chain whose newest entries were taken off looks whole: `expected` holds heads noted earlier, as
    (tenant, place, hash), which must still be there. One whose oldest entries are gone must say so itself, in the
    record of a purge.
    """
    problems: list[str] = []
    heads: dict[str, tuple[int, str]] = {}
    wanted = {(tenant, seq): digest for tenant, seq, digest in expected}
    begun: dict[str, tuple[int, str]] = {}  # where a chain begins that does not begin at 1
    purged: dict[str, int] = {}
    count = 0
    for entry in entries:
        count += 1
        seq, digest = heads.get(entry.tenant, (0, ""))
        place = f"tenant {entry.tenant}, entry {entry.seq}"
        if entry.tenant not in heads and entry.seq > 1:
            begun[entry.tenant] = (entry.seq - 1, entry.previous)
        elif entry.seq != seq + 1:
            problems.append(f"{place}: {entry.seq - seq - 1} entries before it are missing")
        elif entry.previous != digest:
            problems.append(f"{place}: does not follow from the entry before it")
        if entry.key_id != chain.key_id:
            problems.append(f"{place}: written with another key ({entry.key_id}); it cannot be checked with this one")
        elif entry.hash != chain.link(entry.tenant, entry.seq, entry.previous, entry.record):
            problems.append(f"{place}: was changed")
        elif (told := _purged(entry)) is not None:
            purged[entry.tenant] = max(told[0], purged.get(entry.tenant, 0))
            if begun.get(entry.tenant) == told:
                begun.pop(entry.tenant)
        if wanted.pop((entry.tenant, entry.seq), entry.hash) != entry.hash:
            problems.append(f"{place}: is not the entry noted before")
        heads[entry.tenant] = (entry.seq, entry.hash)
    problems += [
        f"tenant {tenant}, entry {seq + 1}: {seq} entries before it are missing" for tenant, (seq, _) in begun.items()
    ]
    problems += [
        f"tenant {tenant}, entry {seq}: noted before, is gone"
        for tenant, seq in wanted
        if seq > purged.get(tenant, 0) or tenant in begun
    ]
    return Verification(count, problems, heads)


def _purged(entry: AuditEntry) -> tuple[int, str] | None:
    """Through which place and hash older entries were deleted, if this is the record of a purge."""
    if '"purged"' not in entry.record:
        return None
    told = json.loads(entry.record).get("purged")
    return (told["through"], told["hash"]) if isinstance(told, dict) else None


def key_file_for(database_url: str) -> Path | None:
    """Where the key lies when no file is named: beside a SQLite file, else in the working directory; None in memory."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return Path("oncobone.audit-key")
    if not url.database or url.database == ":memory:":
        return None
    return Path(url.database).with_suffix(".audit-key")


def chain_for(database_url: str, key_file: str | Path | None = None) -> Chain:
    """
    The chain of a site: its key is read from the file, which is made when it is missing.

    Several machines on one database need the same file. Raises `AuditKeyError` when the file cannot be used.
    """
    path = Path(key_file) if key_file else key_file_for(database_url)
    if path is None:
        return Chain(secrets.token_bytes(KEY_BYTES))
    try:
        return Chain(_read_key(path) if path.exists() else _make_key(path))
    except OSError as error:
        raise AuditKeyError(f"The audit key {path} can neither be read nor made: {error.strerror}.") from error


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError as error:
        raise AuditKeyError(f"The audit key {path} is not hexadecimal.") from error
    if len(key) < KEY_BYTES:
        raise AuditKeyError(f"The audit key {path} holds {len(key)} bytes; it needs {KEY_BYTES}.")
    return key


def _make_key(path: Path) -> bytes:
    """Makes the key so that of several processes that start together one wins and the others read its key."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
        log.warning("made a new key for the audit record; keep a copy of it in a safe place")
    except FileExistsError:
        pass  # another process was quicker: its key is the site's
    finally:
        draft.unlink()
    return _read_key(path)
