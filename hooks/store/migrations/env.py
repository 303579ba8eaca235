"""Runs the steps on the connection that `store.migrate` hands over; there is no alembic.ini."""

from alembic import context

from hooks.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can roll back table changes too, since we begin transactions ourselves: all steps or none.
    transactional_ddl=True,
)

with context.begin_transaction():
    context.run_migrations()
