"""``fleetlabel --engine HOST:PORT COMMAND``: the commands that an engine elsewhere carries out."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli import remote_labels
from fleetlabel.engine.cli.progress import StageBars
from fleetlabel.engine.cli.remote_connection import engine_there
from fleetlabel.engine.cli.remote_labels import Name
from fleetlabel.model.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from fleetlabel.client import Operation, RemoteOperation


def list_(
    pattern: Annotated[str, typer.Argument(help="Names, with * and ? for anything.")] = "*",
    vehicle: Annotated[str, typer.Option(help="Of this vehicle, with * and ?.")] = "",
    review: Annotated[str, typer.Option(help="unlabelled, unreviewed, in_review or reviewed.")] = "",
    as_json: opt.Json = False,
) -> None:
    """List the engine's sequences."""
    with engine_there() as engine:
        entries = list(engine.sequences("" if pattern == "*" else pattern, vehicle=vehicle, review=review))
    if as_json:
        print(json.dumps([_plain(entry) for entry in entries], indent=1))
        return
    for entry in entries:
        state = entry.problem or entry.review.replace("_", " ")
        print(
            f"{entry.sequence_id}: {entry.n_frames} frames, labels {entry.labels_version or 'none'}, {state}"
        )
    if not entries:
        print("there is none")


def info(sequence: Name, as_json: opt.Json = False) -> None:
    """Tell what the engine knows of a sequence."""
    with engine_there() as engine:
        entry = engine.sequence(sequence).describe()
        versions = [version.name for version in engine.sequence(sequence).labels.versions()]
    if as_json:
        print(json.dumps({**_plain(entry), "versions": versions}, indent=1))
        return
    objects = ", ".join(f"{count} {name}" for name, count in sorted(entry.objects_by_class.items()))
    print(f"{entry.name}: {entry.n_frames} frames of {entry.source_format}")
    print(f"sensors: {', '.join((*entry.cameras, *entry.lidars))}")
    print(f"labels: {', '.join(versions) or 'none'}" + (f" ({objects})" if objects else ""))
    print(f"edits: {entry.head_record} records, {entry.review.replace('_', ' ')}")
    for line in (*entry.deleted, *filter(None, [entry.problem])):
        print(line)


def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A drive log, as the engine sees it.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="SEQUENCE", help="The sequence to make.")],
    sequence: opt.Sequence = None,
    resume: opt.Resume = False,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Have a drive log read that the engine can see."""
    with engine_there() as engine:
        existing = _existing(resume, overwrite)
        _follow(engine.ingest(source, out, source_sequence=sequence or "", existing=existing), as_json)


def prelabel(
    sequence: Name,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Weights, as the engine sees them.")
    ] = None,
    detections2d: Annotated[str | None, typer.Option(help="Instead: another detector's boxes.")] = None,
    conf: opt.Confidence = None,
    as_json: opt.Json = False,
) -> None:
    """Have 2D boxes detected in every camera."""
    given: dict[str, Any] = {} if conf is None else {"conf": conf}
    with engine_there() as engine:
        _follow(engine.sequence(sequence).prelabel(model, detections2d=detections2d, **given), as_json)


def lift(sequence: Name, as_json: opt.Json = False) -> None:
    """Have cuboids made of the newest 2D boxes and the lidar."""
    with engine_there() as engine:
        _follow(engine.sequence(sequence).lift(), as_json)


def track(sequence: Name, labels: opt.LabelsName = None, as_json: opt.Json = False) -> None:
    """Have the newest boxes tracked, smoothed and written as a label version."""
    with engine_there() as engine:
        _follow(engine.sequence(sequence).track(labels or ""), as_json)


def run(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A drive log, as the engine sees it.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="SEQUENCE", help="The sequence to make.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Weights, as the engine sees them.")],
    sequence: opt.Sequence = None,
    labels: opt.LabelsName = None,
    resume: opt.Resume = False,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Have a drive log read, and everything done that makes labels of it."""
    existing = _existing(resume, overwrite)
    with engine_there() as engine:
        made, bars = engine.sequence(out), StageBars()
        with bars:
            _wait(engine.ingest(source, out, source_sequence=sequence or "", existing=existing), bars)
            _wait(made.prelabel(model), bars)
            _wait(made.lift(), bars)
            done = _wait(made.track(labels or ""), bars)
    _report(done, as_json)


def export(
    sequence: Name,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the files go, here.")],
    format_name: Annotated[str, typer.Option("--format", help="As `fleetlabel export --format` has it.")],
    labels: Annotated[
        str, typer.Option("--labels", help="Which label version.", show_default="the newest")
    ] = "",
) -> None:
    """Have labels exported, and fetch the files."""
    with engine_there() as engine, StageBars() as bars:
        result = engine.sequence(sequence).export(format_name, out, version=labels, on_progress=bars.shown)
    for note in result.notes:
        print(note)
    print(f"{len(result.files)} files of labels {result.version} are in {out}")


def next_(
    sequences: Annotated[list[str], typer.Argument(metavar="SEQUENCE...", help="As `list` names them.")],
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many places.")] = 1,
    iou: Annotated[
        float,
        typer.Option("--iou", min=0.5, max=0.95, help="Overlap with the truth below which a box is wrong."),
    ] = 0.7,
    as_json: opt.Json = False,
) -> None:
    """Tell which boxes are most worth a look; nobody else is sent there for a while."""
    with engine_there() as engine:
        items, progress = engine.next_items(sequences, count, iou=iou)
    if as_json:
        told = {name: _plain(each) for name, each in progress.items()}
        print(json.dumps({"items": [item.to_json() for item in items], "progress": told}, indent=1))
        return
    for item in items:
        where = f"{item.object_id}@{item.frame}" + (f"/{item.camera}" if item.camera else "")
        print(f"{item.sequence} {where}: {item.wrong:.0%} likely wrong: {item.reason}")
    boxes, wrong = (sum(getattr(p, name) for p in progress.values()) for name in ("boxes", "expected_wrong"))
    done = ": done" if all(p.done for p in progress.values()) else ""
    print(f"{wrong:.0f} of {boxes} boxes are expected to be wrong{done}")


def operations(
    sequence: Annotated[str, typer.Option("--sequence", help="Of this one only.")] = "",
    as_json: opt.Json = False,
) -> None:
    """List the engine's operations, the newest first."""
    with engine_there() as engine:
        found = list(engine.operations(sequence))
    if as_json:
        print(json.dumps([_plain(operation) for operation in found], indent=1))
        return
    for operation in found:
        at = f"{operation.stage} {operation.frames_done}/{operation.frames_total}" if operation.stage else ""
        why = f": {operation.error}" if operation.error else ""
        print(
            f"{operation.operation_id} {operation.kind} {operation.sequence_id} {operation.state} {at}{why}"
        )


def cancel(operation: Annotated[str, typer.Argument(help="Its id, as `operations` tells it.")]) -> None:
    """Ask an operation to end; what it has committed is kept."""
    with engine_there() as engine:
        print(f"{operation} is {engine.operation(operation).cancel().state}, and asked to end")


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "info": info,
    "ingest": ingest,
    "prelabel": prelabel,
    "lift": lift,
    "track": track,
    "run": run,
    "export": export,
    "history": remote_labels.history,
    "diff": remote_labels.diff,
    "why": remote_labels.why,
    "revert": remote_labels.revert,
    "rebase": remote_labels.rebase,
    "save": remote_labels.save,
    "next": next_,
    "operations": operations,
    "cancel": cancel,
}


class EngineCommands(TyperGroup):
    """The commands of this machine, or, once ``--engine`` was said, those of an engine elsewhere."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name.

        Raises:
            UsageError: the engine has none of that name.
        """
        if not ctx.params.get("engine"):
            return super().get_command(ctx, cmd_name)
        if cmd_name not in COMMANDS:
            raise UsageError(
                f"`{cmd_name}` is not done by an engine elsewhere; expected one of {', '.join(COMMANDS)}"
            )
        return _commands()[cmd_name]


@functools.cache
def _commands() -> dict[str, Any]:
    app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
    for name, command in COMMANDS.items():
        app.command(name)(command)
    return dict(typer.main.get_group(app).commands)


def _existing(resume: bool, overwrite: bool) -> str:
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    return "resume" if resume else "overwrite" if overwrite else "refuse"


def _follow(operation: RemoteOperation, as_json: bool) -> None:
    with StageBars() as bars:
        done = _wait(operation, bars)
    _report(done, as_json)


def _wait(operation: RemoteOperation, bars: StageBars) -> Operation:
    try:
        return operation.wait(bars.shown)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"operation {operation.operation_id} goes on in the engine; `cancel {operation.operation_id}` ends it"
        ) from error


def _report(operation: Operation, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_plain(operation), indent=1))
        return
    result = operation.result
    version = getattr(result, "version", "")
    print(f"{operation.sequence_id}: {operation.kind} done" + (f", labels {version}" if version else ""))
    for warning in getattr(result, "warnings", ()):
        print(f"warning: {warning}")


def _plain(value: Any) -> Any:
    """JSON-ready."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Exception):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value
