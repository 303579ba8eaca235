"""CDS Hooks over Flask: the only part of OncoBone with input, output, clock, network and language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from hooks.settings import Settings

__all__ = ["create_app"]


def create_app(settings: Settings, **parts: Any) -> Flask:  # noqa: ANN401 - those of `hooks.application.create_app`
    """Make the WSGI application of one site (`hooks.application.create_app` has the whole story)."""
    # Here, not above: whoever wants one part of this package must not have to load all of it.
    from hooks.application import create_app as make  # noqa: PLC0415

    return make(settings, **parts)
