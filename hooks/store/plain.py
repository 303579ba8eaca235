"""
The statements of every call, as the driver's own text.

SQLAlchemy writes them once, so that they fit both databases; to have it run them as well takes longer than the
database does. What goes wrong is raised as SQLAlchemy would raise it.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
        with _raised_as_usual(connection), closing(connection.connection.cursor()) as cursor:
            cursor.executemany(self._text, [self._filled(row) for row in rows])

    def rows(self, connection: Connection, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run it once and give all rows of its result."""
        with _raised_as_usual(connection), closing(connection.connection.cursor()) as cursor:
            cursor.execute(self._text, self._filled(values))
            return list(cursor.fetchall())

    def _filled(self, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - as the driver wants them
        filled = {**self._fixed, **values}
        return filled if self._names is None else [filled[name] for name in self._names]


@contextmanager
def _raised_as_usual(connection: Connection) -> Iterator[None]:
    """Raise a driver's error as SQLAlchemy does, and give up a connection that has gone."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance("", {}, error, driver.Error, connection_invalidated=lost) from None
