"""Ids of tokens that were used, against replay: kept as digests until the token can no longer be used."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from hooks.store.tables import insert_of, used_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection, Dialect

# A token's id is kept a little longer than the token can be used with the largest leeway.
TOKEN_GRACE: Final = 120
# So long a token lives at the most, and its id is of use.
TOKEN_LIFE: Final = 3600 + 2 * TOKEN_GRACE
# A clock that was set by more than this has jumped.
JUMP: Final = TOKEN_GRACE / 4


class SteadyClock:
    """
    The wall clock, once it has gone for as long as a token lives without a jump.

    By one that was ahead for a moment every id would be deleted, and each token be good again when the clock is right.
    """

    def __init__(self) -> None:
        self._wall, self._even = time.time(), time.monotonic()

    def now(self) -> float | None:
        """Seconds since 1970; None while the clock has jumped, or was first read, too short a time ago."""
        wall, even = time.time(), time.monotonic()
        if abs((wall - self._wall) - (even - self._even)) > JUMP:
            self._wall, self._even = wall, even
        return wall if even - self._even >= TOKEN_LIFE else None


class UsedTokens:
    """The statements on used tokens, made once."""

    def __init__(self, dialect: Dialect) -> None:
        insert = insert_of(dialect)
        # What came in is returned: not every driver tells how many rows an INSERT has made.
        self._known = insert(used_tokens).on_conflict_do_nothing()
        self._new = self._known.returning(used_tokens.c.digest)

    def take(self, connection: Connection, iss: str, jti: str, exp: int) -> bool:
        """Marks a token id as used until `exp` (seconds); True when it was marked already."""
        row = {"digest": digest(iss, jti), "expires": exp + TOKEN_GRACE}
        return connection.execute(self._new, row).first() is None

    def mark(self, connection: Connection, tokens: Mapping[str, int]) -> None:
        """Marks tokens as used, by their digests, each until its `exp` (seconds)."""
        # Sorted: two transactions with the same tokens would else wait for each other in a circle.
        rows = [{"digest": each, "expires": exp + TOKEN_GRACE} for each, exp in sorted(tokens.items())]
        connection.execute(self._known, rows)

    @staticmethod
    def is_taken(connection: Connection, iss: str, jti: str) -> bool:
        """Whether a token id is marked as used."""
        query = sa.select(used_tokens.c.digest).where(used_tokens.c.digest == digest(iss, jti))
        return connection.execute(query).first() is not None

    @staticmethod
    def prune(connection: Connection, before: float) -> int:
        """Deletes the ids of tokens that were over before a moment (seconds since 1970); gives how many."""
        return connection.execute(sa.delete(used_tokens).where(used_tokens.c.expires < int(before))).rowcount


def digest(iss: str, jti: str) -> str:
    """What is kept of a token's id."""
    return sha256(json.dumps([iss, jti]).encode()).hexdigest()
