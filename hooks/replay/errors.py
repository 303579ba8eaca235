"""What ends a run early."""

from __future__ import annotations

DONE, REFUSED, LEFT_OUT = 0, 1, 3
"""Exit codes: done; refused (input, settings, budget, a broken law); done, but something was left out."""


class ReplayError(Exception):
    """A run that cannot be done as it was asked for; the message says what to do, and holds no patient's value."""
