"""Entry point of ``fleetlabel``: the commands, and how errors become messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version
from typing import Annotated

import typer
from rich.console import Console

from fleetlabel.engine.cli import inspecting, labeling
from fleetlabel.engine.cli.exit_codes import FAILED, INTERRUPTED, OK, USAGE
from fleetlabel.model.errors import FleetLabelError, InterruptedRunError, UsageError

app = typer.Typer(
    name="fleetlabel",
    help="Tracked 2D and 3D labels from drive logs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        print(version("fleetlabel"))
        raise typer.Exit(OK)


_COMMANDS: dict[str, Callable[..., None]] = {
    "ingest": labeling.ingest,
    "prelabel": labeling.prelabel,
    "lift": labeling.lift,
    "track": labeling.track,
    "run": labeling.run,
    "export": inspecting.export,
    "eval": inspecting.evaluate,
    "info": inspecting.info,
    "verify": inspecting.verify,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """Runs the command line: a failure on purpose is one message and an exit code, never a traceback."""
    for entry in entry_points(group="fleetlabel.commands"):
        app.command(entry.name)(entry.load())
    try:
        app()
    except FleetLabelError as error:
        Console(stderr=True, soft_wrap=True).print(
            "error:", str(error), markup=False, highlight=False, style="red"
        )
        sys.exit(_exit_code(error))


def _exit_code(error: FleetLabelError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return INTERRUPTED if isinstance(error, InterruptedRunError) else FAILED
