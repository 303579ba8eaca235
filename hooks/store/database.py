"""The database behind the store: opened so that a commit is on the disk, its tables brought up to date."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from hooks.configuration import load
from hooks.settings import SettingsError
from hooks.store.file import DatabaseFile, FileChangedError
from hooks.store.plain import say
from hooks.store.tables import REVISION, has_any, make_all
from hooks.terminal import config_option, patience

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
    from sqlalchemy.pool import ConnectionPoolEntry

DEFAULT_DATABASE_URL: Final = "sqlite:///oncobone.sqlite"
BUSY_TIMEOUT_MS: Final = 5000
POSTGRES_CONNECT_SECONDS: Final = 2
READ_ONLY: Final = "25006"  # PostgreSQL's word for a transaction that may only read


class StoreUnavailable(Exception):  # noqa: N818 - it is a state of the store, not an error of ours
    """The store cannot be read or written now; `reason` is a word for logs and /readyz, without any value."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The store is unavailable: {reason}.")
        self.reason = reason


class StoreError(Exception):
    """The store cannot be used as it is configured; the message says what to do."""


def engine_for(database_url: str) -> Engine:
    """
    The engine of a database URL, set up for durable commits.

    `sqlite:///file`, `sqlite://` (in memory, for tests), `postgresql://…`. Raises `StoreError` for any other.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise StoreError(
            "ONCOBONE_DATABASE_URL is not a database URL. Write sqlite:///path/to/file or postgresql://host/database."
        ) from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(url)
    if backend in {"postgresql", "postgres"}:
        return _postgres_engine(url)
    raise StoreError(f"ONCOBONE_DATABASE_URL names {backend!r}. Known are sqlite and postgresql.")


def _sqlite_engine(url: URL) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}}
    if not url.database or url.database == ":memory:":
        options["poolclass"] = StaticPool  # one connection, or each would see its own empty database
    elif not Path(url.database).resolve().parent.is_dir():
        raise StoreError(f"The directory of the database {url.database} does not exist; make it first.")
    engine = sa.create_engine(url.set(drivername="sqlite"), **options)
    file = None if "poolclass" in options or url.database is None else DatabaseFile(Path(url.database))

    @event.listens_for(engine, "do_connect")
    def connecting(*_: object) -> None:
        if file is not None:
            file.open()

    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # Python's driver would begin transactions by itself and too late; we say BEGIN.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: two writers that both read first would else fail with "database is locked" without waiting.
        read = connection.get_execution_options().get("oncobone_read")
        if file is not None:
            file.check()
            file.check_log(connection.info.get("log"))
        say(connection, "BEGIN" if read else "BEGIN IMMEDIATE")
        if file is not None and not read:
            connection.info["log"] = connection.info.get("log") or file.log()

    return engine


def _postgres_engine(url: URL) -> Engine:
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=1,
            max_overflow=0,
            pool_timeout=POSTGRES_CONNECT_SECONDS,
            connect_args={
                "connect_timeout": POSTGRES_CONNECT_SECONDS,
                "application_name": "oncobone",
                # A machine that is gone is noticed in seconds and not when the system thinks so.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
            },
        )
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs psycopg: install oncobone[postgres].") from error

    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.autocommit = True
        with contextlib.closing(connection.cursor()) as cursor:
            # In one round trip. A server that acknowledges before the disk has it would lose acknowledged feedback.
            cursor.execute("SET lock_timeout = '5s'; SET statement_timeout = '60s';"
                           " SELECT set_config('synchronous_commit', 'on', false) FROM pg_settings"
                           " WHERE name = 'synchronous_commit' AND setting = 'off'")  # fmt: skip
        connection.autocommit = False

    @event.listens_for(engine, "handle_error")
    def failed(context: ExceptionContext) -> None:
        # A session that may only read stays so when the database may be written again: the next try needs a new one.
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True

    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """
    Brings the tables to a revision, in one transaction; processes that start together wait for each other.

    `revision` is `head`, a revision, or a step back (`-1`). Raises `StoreError` for a database made by a newer version.
    """
    if revision == "head":
        with engine.connect().execution_options(oncobone_read=True) as connection:
            if _revision_of(connection) == REVISION:
                return
        if _made_at_once(engine):
            return
    # Alembic takes a while to import and ten megabytes to keep: it is needed only where something is to be changed.
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = alembic_config()
    with engine.begin() as connection:
        _alone(connection)
        config.attributes["connection"] = connection
        try:
            if revision.startswith("-") or revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
        except CommandError as error:
            raise StoreError(
                "The database does not fit this version of OncoBone; it may have been made by a newer one."
                f" Alembic says: {error}"
            ) from error


def _made_at_once(engine: Engine) -> bool:
    """Make all tables where there are none yet; tell whether nothing is left to do."""
    with engine.begin() as connection:
        _alone(connection)
        if has_any(connection):
            return _revision_of(connection) == REVISION  # another process has just made them
        make_all(connection)
    return True


def _alone(connection: Connection) -> None:
    """Let processes that start together change the tables one after the other; of SQLite each writer is alone."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('oncobone migrations'))")


def require_current(engine: Engine) -> None:
    """Raises `StoreError`, with what to do, where the tables are not those of this version; changes nothing."""
    with engine.connect() as connection:
        found = _revision_of(connection)
    if found != REVISION:
        raise StoreError(
            f"The tables are at revision {found or 'base'}, this version of OncoBone needs {REVISION}."
            " oncobone database upgrade brings older ones up to date; nothing was changed."
        )


def _revision_of(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def alembic_config() -> Config:
    """Alembic's configuration, without a file of its own."""
    from alembic.config import Config  # noqa: PLC0415 - see migrate

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def word_for(error: BaseException) -> str:
    """A word for what is wrong with the database; never its message, which may hold what was to be stored."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, FileChangedError):
        return str(cause)
    if isinstance(cause, sqlite3.Error):
        return str(getattr(cause, "sqlite_errorname", type(cause).__name__))
    if sqlstate := getattr(cause, "sqlstate", None):
        return f"SQLSTATE {sqlstate}"
    return type(cause).__name__


@click.group("database")
def commands() -> None:
    """Look after the database: its tables and their version."""


GRANTS: Final = {
    "alembic_version": "SELECT",
    "cards": "SELECT, INSERT",
    "accepted_suggestions": "SELECT, INSERT",
    "audit_records": "SELECT, INSERT",
    "feedback": "SELECT, INSERT, UPDATE",
    "write_checks": "SELECT, INSERT, UPDATE",
    "used_tokens": "SELECT, INSERT, DELETE",
}
"""What the role of a service may do with each table; `deploy/postgres.sql` says the same."""


def grant(connection: Connection, role: str) -> None:
    """Gives a role of PostgreSQL what a service needs and nothing else; the tables' owner may do that."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    said = [f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {quoted}", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]
    said += [f"GRANT USAGE ON SCHEMA public TO {quoted}"]
    said += [f"GRANT {rights} ON {table} TO {quoted}" for table, rights in GRANTS.items()]
    for statement in said:
        connection.exec_driver_sql(statement)


@commands.command()
@click.option("--grant-to", "role", metavar="ROLE", help="PostgreSQL: give this role what a service needs, no more.")
@config_option
def upgrade(role: str | None, config: str | None) -> None:
    """Bring the tables up to date (a server whose role owns them does this by itself at its start)."""
    _migrate("head", config, role)


@commands.command()
@click.confirmation_option(prompt="What the newest step added is deleted with all it holds. Go on?")
@config_option
def downgrade(config: str | None) -> None:
    """Take one step back, before an older version of OncoBone is started."""
    _migrate("-1", config)


def _migrate(revision: str, config: str | None, role: str | None = None) -> None:
    try:
        engine = engine_for(load({"config": config}).database_url or DEFAULT_DATABASE_URL)
        with patience("Changing the tables"):
            migrate(engine, revision)
        if role is not None:
            if engine.dialect.name != "postgresql":
                raise click.ClickException("Only PostgreSQL has roles; leave --grant-to out.")
            with engine.begin() as connection:
                grant(connection, role)
        with engine.connect() as connection:
            now_at = _revision_of(connection)
    except (SettingsError, StoreError) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        raise click.ClickException(f"The database cannot be used: {word_for(error)}.") from error
    click.echo(f"The tables are at revision {now_at or 'base'}.")
