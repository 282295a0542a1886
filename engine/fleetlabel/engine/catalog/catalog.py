"""The catalog as one thing to open and close."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from fleetlabel.engine.catalog.database import connect, parse_url, sole_engine
from fleetlabel.engine.catalog.migrating import migrate
from fleetlabel.engine.catalog.operations import OperationTable
from fleetlabel.engine.catalog.tokens import Tokens


class Catalog:
    """Operations and tokens of an engine; a context that closes it. Threads may share it.

    What a call of its tables has written is on the disk when the call returns.

    Attributes:
        operations: long work, that of the past included.
        tokens: who may do what.
    """

    def __init__(self, url: str) -> None:
        """Opens a catalog; makes it, or brings its tables to this version, where that is needed.

        Args:
            url: a file (SQLite), ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``.

        Raises:
            UsageError: ``url`` is none of these.
            CatalogError: it cannot be used, or a newer version made it.
        """
        parsed = parse_url(url)
        self._engine = connect(parsed)
        try:
            migrate(self._engine)
        except BaseException:
            self._engine.dispose()
            raise
        self.operations = OperationTable(self._engine)
        self.tokens = Tokens(self._engine)

    @property
    def url(self) -> str:
        """Where it is, without its password."""
        return self._engine.url.render_as_string()

    def sole_engine(self) -> AbstractContextManager[None]:
        """While the context lasts, this process is the only one that runs the catalog's operations.

        Raises:
            CatalogError: on entry, another process is.
        """
        return sole_engine(self._engine)

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def default_catalog() -> str:
    """Where the catalog is unless told otherwise: ``FLEETLABEL_CATALOG``, or a file among this user's state."""
    return os.environ.get("FLEETLABEL_CATALOG") or str(state_folder() / "catalog.sqlite")


def state_folder() -> Path:
    """Where this user's engine keeps what is to last, unless told otherwise."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fleetlabel"
