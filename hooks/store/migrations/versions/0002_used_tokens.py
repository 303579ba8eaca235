"""Ids of used tokens, against replay."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the table of used tokens."""
    op.create_table(
        "used_tokens",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_used_tokens_expires", "used_tokens", ["expires"])


def downgrade() -> None:
    """Removes it."""
    op.drop_index("ix_used_tokens_expires", "used_tokens")
    op.drop_table("used_tokens")
