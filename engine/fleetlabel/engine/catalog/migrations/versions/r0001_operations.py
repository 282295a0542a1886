"""Operations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "operations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("frames_done", sa.BigInteger, nullable=False),
        sa.Column("frames_total", sa.BigInteger, nullable=False),
        sa.Column("frames_per_s", sa.Float, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("error_kind", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("runner", sa.Text),
        sa.Column("fruitless_starts", sa.Integer, nullable=False),
        sa.Column("begun", sa.Boolean, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("started_ns", sa.BigInteger),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
        sa.Column("finished_ns", sa.BigInteger),
        sa.UniqueConstraint("owner", "request_id", name="uq_operations_owner_request_id"),
    )
    op.create_index("ix_operations_state", "operations", ["state"])
    op.create_index("ix_operations_created_ns", "operations", ["created_ns", "id"])
