"""A connection to the catalog's database: SQLite or PostgreSQL by URL, durable, one writer at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from fleetlabel.model.errors import CatalogError, UsageError

_PATIENCE_S = 60
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def parse_url(place: str) -> URL:
    """The URL of a catalog; a path without a scheme is a file of SQLite.

    Raises:
        UsageError: it is no file, ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
    """
    expected = "expected a file, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    if "://" not in place:
        if not place.strip() or "\0" in place:
            raise UsageError(f"{place!r} names no catalog; {expected}")
        return URL.create("sqlite+pysqlite", database=str(Path(place).expanduser().absolute()))
    try:
        url = make_url(place)
    except ArgumentError:
        raise UsageError(f"the catalog's URL cannot be read; {expected}") from None
    if url.drivername not in (*_DRIVERS, *_DRIVERS.values()) or not url.database:
        raise UsageError(f"{url.render_as_string()} is no catalog; {expected}")
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if is_sqlite(url):
        if url.database == ":memory:":
            raise UsageError(f"a catalog in memory would lose what it says it keeps; {expected}")
        url = url.set(database=str(Path(url.database or "").expanduser().absolute()))
    return url


def is_sqlite(url: URL) -> bool:
    """Whether the catalog is a file."""
    return url.get_backend_name() == "sqlite"


def connect(url: URL) -> Engine:
    """Connections to a database; what is committed on them is on the disk."""
    if is_sqlite(url):
        engine = create_engine(url, connect_args={"timeout": _PATIENCE_S}, pool_size=8, max_overflow=32)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url, pool_pre_ping=True, pool_size=8, max_overflow=32, connect_args={"connect_timeout": _PATIENCE_S}
    )


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads, beside any writer."""
    with told_errors(engine.url), engine.connect().execution_options(reads=True) as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is on the disk once the context is left without an error."""
    with told_errors(engine.url), engine.begin() as connection:
        yield connection


@contextmanager
def told_errors(url: URL) -> Iterator[None]:
    """The database's refusals as errors of ours; the password is in none of them.

    Raises:
        CatalogError: the database did.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise CatalogError(
            f"the catalog {url.render_as_string()} cannot be used: {_reason(error)}"
        ) from error
    except DBAPIError as error:
        if type(error) is DBAPIError or "malformed" in str(error) or "not a database" in str(error):
            raise CatalogError(
                f"the catalog {url.render_as_string()} is damaged or none: {_reason(error)}"
            ) from error
        raise


@contextmanager
def sole_engine(engine: Engine) -> Iterator[None]:
    """While the context lasts, no other process runs this catalog's operations; ends with the process.

    Raises:
        CatalogError: another one does.
    """
    taken = CatalogError(
        f"another engine runs on the catalog {engine.url.render_as_string()}; stop it, or give this one a catalog of "
        "its own (--catalog)"
    )
    if is_sqlite(engine.url):
        with _locked(Path(f"{engine.url.database}.engine"), wait=False) as got:
            if not got:
                raise taken
            yield
        return
    with told_errors(engine.url):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        held = connection.execute(text("SELECT pg_try_advisory_lock(hashtext('fleetlabel engine'))")).scalar()
    try:
        if not held:
            raise taken
        yield
    finally:
        # The lock is the session's, and must not go back to the pool with it; the server hears of a session's end late.
        with suppress(DBAPIError):
            connection.execute(text("SELECT pg_advisory_unlock(hashtext('fleetlabel engine'))"))
        connection.invalidate()
        connection.close()


@contextmanager
def sole_migrator(engine: Engine) -> Iterator[Connection]:
    """A transaction for changes of the schema: one at a time, all of it or nothing."""
    if is_sqlite(engine.url):
        file = Path(engine.url.database or "")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Tokens' digests are in it: nobody else's business.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise CatalogError(f"cannot write the catalog {file}: {error.strerror}") from error
        # Several processes that switch to WAL at once would refuse one another, however patient they are.
        with _locked(Path(f"{file}.migrating"), wait=True), told_errors(engine.url):
            with engine.connect() as connection:
                raw: Any = connection.connection.dbapi_connection
                raw.execute("PRAGMA journal_mode = WAL")
            with engine.begin() as connection:
                yield connection
        return
    with told_errors(engine.url), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleetlabel migrations'))"))
        yield connection


@contextmanager
def _locked(file: Path, *, wait: bool) -> Iterator[bool]:
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, see below
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_S * 1000}")
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # the default of WAL forgets the last commits in a power cut


def _begin_sqlite(connection: Connection) -> None:
    # Whoever reads first and writes then would be refused if another wrote in between, however patient.
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())
