"""What every command shares: its options, how it refuses, JSON, and what is shown to somebody who waits."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from hooks.cards.language import language_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from hooks.cards.wording import Language

REFUSED = 1
PATIENCE_S = 2.0
"""So long nothing is shown of what is being done."""

LINE_EVERY_S = 30.0
"""How often a line tells how far it is where no bar can be drawn."""

_STDIN = "oncobone.stdin"


def _claim(value: object, param: click.Parameter | None, context: click.Context | None) -> None:
    """Give standard input to one parameter of a command; a second one would find it empty."""
    if value != "-" or context is None or param is None:
        return
    name = param.opts[0]
    if context.meta.setdefault(_STDIN, name) != name:
        raise click.BadParameter(f"standard input is read by {context.meta[_STDIN]} already", context, param)


class InputFile(click.File):
    """A file that is read; `-` is standard input."""

    def __init__(self, mode: str = "rb") -> None:
        super().__init__(mode, encoding=None if "b" in mode else "utf-8")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IO[Any]:  # noqa: ANN401 - as click has it
        """Open it."""
        _claim(value, param, ctx)
        return super().convert(value, param, ctx)


class SettingsFile(click.Path):
    """The name of a settings file, which the settings themselves read; `-` is standard input."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Take the name."""
        _claim(value, param, ctx)
        return super().convert(value, param, ctx)


class LanguageName(click.ParamType["Language", Any]):
    """A reader's language, as people name it."""

    name = "language"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - as click has it
        """Show what may be named."""
        return "[en|zh-CN]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Language:  # noqa: ANN401 - as click has it
        """Read it."""
        return language_of(str(value)) or self.fail(f"{value!r} is neither en nor zh-CN", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002 - as click has it
        """Offer both."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for a shell only

        return [CompletionItem(name) for name in ("en", "zh-CN") if name.startswith(incomplete)]


config_option = click.option(
    "--config", type=SettingsFile(), metavar="FILE", help="The TOML file (ONCOBONE_CONFIG); - for stdin."
)
ca_option = click.option(
    "--ca-file",
    type=click.Path(),
    metavar="FILE",
    help="Certificates (PEM) to trust instead of the public ones (ONCOBONE_CA_FILE).",
)
request_option = click.option(
    "--request", "file", type=InputFile(), required=True, metavar="FILE", help="A CDS Hooks request; - for stdin."
)
language_option = click.option("--language", type=LanguageName(), help="The reader's language; zh will do for zh-CN.")
json_option = click.option("--json", "raw", is_flag=True, help="JSON instead of text.")


def refuse(message: str) -> NoReturn:
    """End the command with 1 and a sentence on standard error."""
    click.echo(harmless(message), err=True)
    sys.exit(REFUSED)


def harmless(text: str) -> str:
    """Leave out what a terminal would take as a command: a chart's text may hold anything."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def show_json(value: Any) -> None:  # noqa: ANN401 - JSON
    """Print a value as JSON, numbers as numbers."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_number))


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


# --- what a terminal shows ----------------------------------------------------------------------------------


def is_plain() -> bool:
    """Tell whether no colour is wanted: NO_COLOR is set to anything (no-color.org), or the terminal is dumb."""
    return bool(os.environ.get("NO_COLOR")) or is_dumb()


def is_dumb() -> bool:
    """Tell whether the terminal can only print lines."""
    return os.environ.get("TERM") == "dumb"


@contextmanager
def patience(doing: str) -> Iterator[None]:
    """Say what is being done once it takes longer than two seconds, if somebody watches."""
    if not sys.stderr.isatty():
        yield
        return
    said = threading.Timer(PATIENCE_S, lambda: click.echo(f"{doing} …", err=True))
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()


class Progress:
    """
    Shows how far each stage of a long command is, on standard error, once it takes longer than two seconds.

    A bar with rate and time left; a line now and then where nobody watches, or the terminal draws no bars.
    """

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None
        self._since = self._told = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, stage: str, done: int, of: int) -> None:
        """Take note that so many of so many are done."""
        now = time.monotonic()
        if stage != self._stage:
            self.close()
            self._stage, self._since, self._told = stage, now, now + PATIENCE_S - LINE_EVERY_S
        if self._bar is None and now - self._since < PATIENCE_S:
            return
        if sys.stderr.isatty() and not is_dumb():
            self._draw(done, of, now - self._since)
        elif now - self._told >= LINE_EVERY_S:
            self._told = now
            click.echo(f"{stage}: {done} of {of}", err=True)

    def _draw(self, done: int, of: int, seconds: float) -> None:
        if self._bar is None:
            self._bar = click.progressbar(
                length=max(1, of), label=f"{self._stage:<7}", file=sys.stderr, show_eta=True, show_pos=True,
                item_show_func=lambda rate: rate,
            )  # fmt: skip
            self._bar.__enter__()
        self._bar.update(done - self._bar.pos, f"{done / seconds:.1f}/s" if done and seconds > 0 else None)
        if done >= of:
            self.close()

    def close(self) -> None:
        """End the bar that is shown."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
