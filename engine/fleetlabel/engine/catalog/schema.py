"""Tables of the catalog as they are now; ``migrations`` brings those of earlier versions here."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

OPERATIONS = Table(
    "operations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("request_id", Text),  # chosen by the owner
    Column("place", Text, nullable=False),  # what it changes
    Column("request", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("frames_done", BigInteger, nullable=False),
    Column("frames_total", BigInteger, nullable=False),
    Column("frames_per_s", Float, nullable=False),
    Column("result", Text),  # JSON
    Column("error_kind", Text),
    Column("error", Text),
    Column("cancel_requested", Boolean, nullable=False),
    Column("runner", Text),  # the engine that may change it
    Column("fruitless_starts", Integer, nullable=False),  # in a row, without a finished task
    Column("begun", Boolean, nullable=False),  # it has planned tasks, so its output is its own
    Column("created_ns", BigInteger, nullable=False),
    Column("started_ns", BigInteger),
    Column("updated_ns", BigInteger, nullable=False),
    Column("finished_ns", BigInteger),
    UniqueConstraint("owner", "request_id", name="uq_operations_owner_request_id"),
    Index("ix_operations_state", "state"),
    Index("ix_operations_created_ns", "created_ns", "id"),
)

TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("salt", Text, nullable=False),  # hexadecimal, as is the digest
    Column("digest", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("revoked_ns", BigInteger),
    Column("last_used_ns", BigInteger),
    Index("ix_tokens_person", "person"),
)
