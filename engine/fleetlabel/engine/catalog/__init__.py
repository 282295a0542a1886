"""The engine's catalog: operations and tokens, in SQLite or PostgreSQL.

It holds what no store does. Edits, their request ids, label versions and who was sent where are in each sequence's own
store; the index of sequences is the one that ``fleetlabel find`` asks (:mod:`fleetlabel.engine.fleet.catalogue`), a
cache of the stores. SQLAlchemy and alembic are imported here only, and psycopg by SQLAlchemy.
"""

from fleetlabel.engine.catalog.catalog import Catalog, default_catalog, state_folder
from fleetlabel.engine.catalog.operations import Operation, OperationTable, Page, Progress, State
from fleetlabel.engine.catalog.tokens import Principal, Role, Token, Tokens

__all__ = [
    "Catalog",
    "Operation",
    "OperationTable",
    "Page",
    "Principal",
    "Progress",
    "Role",
    "State",
    "Token",
    "Tokens",
    "default_catalog",
    "state_folder",
]
