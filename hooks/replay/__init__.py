"""The same rules over a whole population: what the service would have said, at any day or at each past call."""

from __future__ import annotations

from importlib import import_module

import click


class Lazy(click.Group):
    """The commands `oncobone replay …`, read when one of them is asked for: the service itself never needs them."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Give a command by its name."""
        return self._whole().get_command(context, name)

    def list_commands(self, context: click.Context) -> list[str]:
        """Name all commands."""
        return self._whole().list_commands(context)

    def _whole(self) -> click.Group:
        found: click.Group = import_module("hooks.replay.commands").commands
        return found


group = Lazy("replay", help="Ask what the service would have said of a whole population.")
