"""Entry point of ``fleetlabel``: the commands, and how errors become messages and exit codes."""

from __future__ import annotations

import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points, version
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from fleetlabel.engine.cli import (
    bench,
    check,
    collecting,
    deleting,
    demo,
    exchanging,
    finding,
    fleet,
    inspecting,
    labeling,
    labels,
    queueing,
    releasing,
    remote,
    remote_connection,
    reporting,
    serving,
    synthesising,
    tokens,
    validating,
    verifying,
)
from fleetlabel.engine.cli.exit_codes import FAILED, INTERRUPTED, OK, USAGE
from fleetlabel.model.errors import FleetLabelError, InterruptedRunError, UsageError

app = typer.Typer(
    name="fleetlabel",
    cls=remote.EngineCommands,
    help="Tracked 2D and 3D labels from drive logs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help=f"An engine elsewhere does it (`fleetlabel serve`): {', '.join(remote.COMMANDS)}. "
            "Who asks is said by a token in FLEETLABEL_TOKEN or --token-file.",
            show_default=False,
        ),
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --engine: a file with the token.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="PEM", help="With --engine: who signed its certificate; TLS.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="PEM", help="With --engine: this client's certificate.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    in_the_clear: Annotated[
        bool, typer.Option("--in-the-clear", help="With --engine: this network needs no TLS.")
    ] = False,
) -> None:
    if show_version:
        print(version("fleetlabel"))
        raise typer.Exit(OK)
    if engine:
        remote_connection.ASKED.set(
            remote_connection.EngineOptions(engine, token_file, ca, certificate, key, in_the_clear)
        )
    elif token_file or ca or certificate or key or in_the_clear:
        raise UsageError("--token-file, --ca, --certificate, --key and --in-the-clear go with --engine")


def _telling_of_ctrl_c(command: Callable[..., None]) -> Callable[..., None]:
    """The command with Ctrl-C as an error of ours: typer would end without a word."""

    @functools.wraps(command)
    def told(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as error:
            raise InterruptedRunError("interrupted") from error

    return told


_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "synth": synthesising.synth,
    "ingest": labeling.ingest,
    "prelabel": labeling.prelabel,
    "lift": labeling.lift,
    "track": labeling.track,
    "run": labeling.run,
    "status": fleet.status,
    "serve": serving.serve,
    "export": exchanging.export,
    "import": exchanging.import_,
    "eval": inspecting.evaluate,
    "report": reporting.report,
    "info": inspecting.info,
    "find": finding.find,
    "verify": verifying.verify,
    "gc": collecting.gc,
    "delete": deleting.delete,
    "check": check.check,
    "validate": validating.validate,
    "history": labels.history,
    "diff": labels.diff,
    "why": labels.why,
    "revert": labels.revert,
    "rebase": labels.rebase,
    "save": labels.save,
    "next": queueing.next_,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_telling_of_ctrl_c(_command))
app.add_typer(releasing.release, name="release")
app.add_typer(tokens.token, name="token")
app.add_typer(bench.bench, name="bench")


def main() -> None:
    """Runs the command line: a failure on purpose is one message and an exit code, never a traceback.

    What the operating system refuses, such as a path that is too long, is told in its own words.
    """
    for entry in entry_points(group="fleetlabel.commands"):
        app.command(entry.name)(_telling_of_ctrl_c(entry.load()))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a path that the terminal cannot spell is no failure
    try:
        with _stopping_cleanly():
            app()
    except FleetLabelError as error:
        _complain(str(error))
        sys.exit(_exit_code(error))
    except OSError as error:
        what = f"cannot use {error.filename}" if error.filename else "the operating system refused"
        _complain(f"{what}: {error.strerror or error}")
        sys.exit(FAILED)


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print("error:", message, markup=False, highlight=False, style="red")


@contextmanager
def _stopping_cleanly() -> Iterator[None]:
    """SIGINT and SIGTERM let what is in flight end; a second one ends at once, which loses nothing committed."""
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            os._exit(INTERRUPTED)
        stopping = True
        with suppress(OSError):
            os.write(
                2, b"stopping; press Ctrl-C again to stop at once\n"
            )  # sys.stderr may be in use just now
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(error: FleetLabelError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return INTERRUPTED if isinstance(error, InterruptedRunError) else FAILED
