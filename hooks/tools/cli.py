"""
The command `oncobone`: a table of its commands, each read when it is asked for; reading rules takes a second or two.

Exit codes: 0 it worked, 1 the request or the settings were refused, 2 the command was used wrongly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from hooks import terminal
from hooks.running.collecting import at_rest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, tuple[str, str, str]] = {
    "audit": ("hooks.store.audit", "commands", "Check and read the audit record of the configured database."),
    "call": ("hooks.tools.calling", "call", "Send a request to a service and show its cards."),
    "catalogue": ("hooks.tools.workshop", "catalogue_command", "Write the rule catalogue as Markdown."),
    "config": ("hooks.tools.starting", "config_group", "Look after the settings."),
    "database": ("hooks.store.database", "commands", "Look after the database: its tables and their version."),
    "doctor": ("hooks.tools.workshop", "doctor_command", "Ask a FHIR server whether it can give us what we need."),
    "dossier": ("hooks.dossier.commands", "dossier", "Write everything that stands behind a call's cards as one page."),
    "explain": ("hooks.tools.calling", "explain", "Show every rule with its verdict."),
    "export": ("hooks.guideline.commands", "export", "Write the rules for others to read."),
    "facts": ("hooks.tools.workshop", "facts", "List the facts that may be asked about a patient."),
    "feedback": ("hooks.store.feedback", "commands", "What became of the cards."),
    "keys": ("hooks.trust.keys", "commands", "Keys and tokens of clients in signed mode."),
    "purge": ("hooks.store.purging", "command", "Delete cards, feedback, used tokens and audit records of an age."),
    "replay": ("hooks.replay.commands", "commands", "Ask what the service would have said of a whole population."),
    "samples": (
        "hooks.tools.workshop",
        "samples_command",
        "List the synthetic sample patients, load them into a FHIR server, or write them.",
    ),
    "sandbox": (
        "hooks.tools.workshop",
        "sandbox_command",
        "Run a FHIR server with the sample patients, and the service.",
    ),
    "serve": ("hooks.tools.starting", "serve", "Serve the CDS services until SIGTERM or Ctrl-C."),
    "validate": ("hooks.tools.workshop", "validate", "Tell what would be used of a request or a FHIR Bundle."),
}
"""Command -> its module, its name there, and its line in the help."""


class Lazy(click.Group):
    """A group of the commands in the table: naming, helping and completing them reads none of them."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - as click has it
        """Read a command."""
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        with terminal.patience("Reading the rules"), at_rest():
            found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click has it
        """Write the table into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands by their beginning."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for a shell only

        own = [
            CompletionItem(name, help=line) for name, (_, _, line) in COMMANDS.items() if name.startswith(incomplete)
        ]
        return own + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oncobone")
@click.pass_context
def main(context: click.Context) -> None:
    """OncoBone: advice on bone metastases, myeloma and sarcoma, as a CDS Hooks service."""
    context.color = False if terminal.is_plain() else None
