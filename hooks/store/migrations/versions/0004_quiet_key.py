"""What makes a card the same one for the same patient, as a keyed hash: an answered card stays quiet for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the column and its index; cards issued before have none, and are never quiet."""
    op.add_column("cards", sa.Column("quiet_key", sa.String(32)))
    op.create_index("cards_quiet_key", "cards", ["tenant", "quiet_key"])


def downgrade() -> None:
    """Removes them."""
    op.drop_index("cards_quiet_key", "cards")
    op.drop_column("cards", "quiet_key")
