"""
The statements of every call, as the driver's own text.

SQLAlchemy writes them once, so that they fit both databases; to have it run them as well takes longer than the
database does. What goes wrong is raised as SQLAlchemy would raise it.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import sqlalchemy as sa
    from sqlalchemy.engine import Connection, Dialect


class Plain:
    """One statement, ready to be run with any values."""

    def __init__(self, dialect: Dialect, statement: sa.ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names: Sequence[str] | None = compiled.positiontup
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, connection: Connection, rows: Iterable[Mapping[str, object]]) -> None:
        """Run it for each row; nothing is given back."""
        try:
            with closing(connection.connection.cursor()) as cursor:
                cursor.executemany(self._text, [self._filled(row) for row in rows])
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_usual(connection, error) from None

    def rows(self, connection: Connection, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run it once and give all rows of its result."""
        try:
            with closing(connection.connection.cursor()) as cursor:
                cursor.execute(self._text, self._filled(values))
                return list(cursor.fetchall())
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_usual(connection, error) from None

    def _filled(self, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - as the driver wants them
        filled = {**self._fixed, **values}
        return filled if self._names is None else [filled[name] for name in self._names]


def say(connection: Connection, text: str) -> None:
    """Run a statement that has no values and gives nothing."""
    try:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(text)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_usual(connection, error) from None


def _as_usual(connection: Connection, error: Any) -> BaseException:  # noqa: ANN401 - each driver has errors of its own
    """Give a driver's error as SQLAlchemy raises it, and give up a connection that has gone."""
    driver: Any = connection.dialect.loaded_dbapi
    lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if lost:
        connection.invalidate(error)
    usual: BaseException = DBAPIError.instance("", {}, error, driver.Error, connection_invalidated=lost)
    return usual
