"""Brings a database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from fleetlabel.engine.catalog.database import reading, sole_migrator
from fleetlabel.model.errors import CatalogError

_FOLDER = Path(__file__).parent / "migrations"


def migrate(engine: Engine, revision: str = "head") -> None:
    """Makes the tables, or brings those of an earlier version here, in one transaction; several processes may at once.

    Raises:
        CatalogError: a newer version of FleetLabel made the database, or it cannot be used.
    """
    with sole_migrator(engine) as connection:
        config = _config()
        _refuse_newer(engine, connection, config)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def revisions() -> list[str]:
    """All revisions of the schema, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def revision_of(engine: Engine) -> str | None:
    """The revision that a database is at; None before the first."""
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(engine: Engine, connection: Connection, config: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = MigrationContext.configure(connection).get_current_heads()
    unknown = [revision for revision in found if revision not in known]
    if unknown:
        raise CatalogError(
            f"the catalog {engine.url.render_as_string()} was made by a newer FleetLabel: its schema is {unknown[0]}, "
            f"and this version knows up to {max(known)}; upgrade FleetLabel, or give another --catalog"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
