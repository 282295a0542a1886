"""Runs migrations on the connection that :func:`fleetlabel.engine.catalog.migrating.migrate` holds."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,  # of SQLite, too, now that we begin its transactions
)
context.run_migrations()
