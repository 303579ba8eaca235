"""Issued cards, and what became of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Adds the tables of cards and feedback, and the row that readiness writes."""
    op.create_table(
        "cards",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("uuid", sa.String(36), primary_key=True),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("guidance", sa.String(32), nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("suggestions", sa.Text, nullable=False),
        sa.Column("issued_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("card", sa.String(36), primary_key=True),
        sa.Column("outcome", sa.String(16), primary_key=True),
        sa.Column("outcome_at", sa.String(32), primary_key=True),
        sa.Column("received_at", sa.String(32), nullable=False),
        sa.Column("reason_code", sa.Text),
        sa.Column("reason_system", sa.Text),
        sa.Column("reason_display", sa.Text),
        sa.Column("user_comment", sa.Text),
        sa.ForeignKeyConstraint(["tenant", "card"], ["cards.tenant", "cards.uuid"], name="feedback_card"),
    )
    op.create_table(
        "accepted_suggestions",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("card", sa.String(36), primary_key=True),
        sa.Column("outcome", sa.String(16), primary_key=True),
        sa.Column("outcome_at", sa.String(32), primary_key=True),
        sa.Column("suggestion", sa.String(36), primary_key=True),
        sa.ForeignKeyConstraint(
            ["tenant", "card", "outcome", "outcome_at"],
            ["feedback.tenant", "feedback.card", "feedback.outcome", "feedback.outcome_at"],
            name="accepted_suggestions_feedback",
        ),
    )
    op.create_table(
        "write_checks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("checked_at", sa.String(32), nullable=False),
        sa.Column("padding", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("write_checks", "accepted_suggestions", "feedback", "cards"):
        op.drop_table(table)
