"""Commands about people's edits: ``history``, ``diff``, ``why``, ``revert``, ``rebase``, ``save``."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetlabel.engine.cli import options as opt
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore

if TYPE_CHECKING:
    from fleetlabel.labels import Labels, Record

Object = Annotated[int | None, typer.Option("--object", help="Just what concerns this object.")]
Author = Annotated[
    str | None, typer.Option("--author", help="Who says so.", show_default="the user of this machine")
]
Moment = Annotated[
    str,
    typer.Argument(
        help="A label version, the number of a record (0: before all), or now.", show_default=False
    ),
]


def history(store: opt.StoreArg, object_id: Object = None, as_json: opt.Json = False) -> None:
    """Tell who edited what, when and why."""
    labels = _open(store)
    records = labels.history.records if object_id is None else labels.history.of_object(object_id)
    if as_json:
        in_effect = labels.history.is_in_effect
        print(
            json.dumps(
                {
                    "base": labels.base.name,
                    "records": [{**r.to_json(), "in_effect": in_effect(r.sequence)} for r in records],
                },
                indent=1,
            )
        )
        return
    for record in records:
        print(line_of(record, labels.history.is_in_effect(record.sequence)))
    if not records:
        print(f"nobody has edited {'these labels' if object_id is None else f'object {object_id}'} yet")


def diff(store: opt.StoreArg, before: Moment, after: Moment, as_json: opt.Json = False) -> None:
    """Tell which objects differ between two label versions or moments, and in what."""
    from fleetlabel.labels import diff as differences
    from fleetlabel.labels import snapshot_of

    labels = _open(store)
    found = differences(snapshot_of(labels, before), snapshot_of(labels, after))
    if as_json:
        print(
            json.dumps({"before": before, "after": after, "objects": [d.to_json() for d in found]}, indent=1)
        )
        return
    for difference in found:
        boxes = [
            f"{camera or 'cuboids'} +{added} -{removed} ~{changed}"
            for camera, (added, removed, changed) in difference.boxes.items()
        ]
        said = f" ({', '.join(difference.said)})" if difference.said else ""
        print(f"object {difference.object_id} {difference.change}{said}: {', '.join(boxes) or 'same boxes'}")
    print(f"{len(found)} objects differ between {before} and {after}")


def why(
    store: opt.StoreArg,
    box: Annotated[
        str, typer.Argument(metavar="OBJECT@FRAME[/CAMERA]", help="Which box; without a camera, the cuboid.")
    ],
    as_json: opt.Json = False,
) -> None:
    """Tell what is behind a box: detections, keyframes, model, parameters, people."""
    from fleetlabel.labels import explain

    found = explain(_open(store), *_parse_box(box))
    reason = found.to_json()
    if as_json:
        print(json.dumps(reason, indent=1))
        return
    print(f"{box}: {_flat(reason['box'])}")
    print(f"detection: {_flat(reason['detection']) if reason['detection'] else 'none at this frame'}")
    print(f"keyframes nearby: {', '.join(map(str, reason['keyframes'])) or 'none'}")
    if found.slips:
        print(
            f"perhaps a slip of the hand at frames {', '.join(map(str, found.slips))}: all else says otherwise"
        )
    tracks = ", ".join(f"{t['track_id']} (frames {t['start']}..{t['stop'] - 1})" for t in reason["tracks"])
    print(f"tracks of the base version: {tracks or 'none'}")
    print(f"filled in by: {reason['solver'] or 'nobody; it is as in the base version'}")
    for stage, run in reason["runs"].items():
        print(f"{stage}: {_flat(run)}")
    for record in found.records:
        print(line_of(record, True))


def revert(
    store: opt.StoreArg,
    sequence: Annotated[int, typer.Argument(help="Number of the record, as in history.", show_default=False)],
    author: Author = None,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: opt.Json = False,
) -> None:
    """Take back one record of edits, and leave all others."""
    record = _open(store).revert(sequence, author=author or getpass.getuser(), reason=reason).record
    assert record is not None
    _tell(as_json, {"reverted": sequence, "record": record.to_json()}, f"record {sequence} is taken back")


def rebase(
    store: opt.StoreArg,
    version: Annotated[
        str, typer.Argument(help="A machine's label version, of a better model's run.", show_default=False)
    ],
    author: Author = None,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: opt.Json = False,
) -> None:
    """Take people's edits along to another run's labels, and tell what does not fit there."""
    carried = _open(store).rebase_onto(version, author=author or getpass.getuser(), reason=reason)
    if as_json:
        ids = {str(old): new for old, new in carried.new_ids.items()}
        told = {"base": version, "new_ids": ids, "misfits": [asdict(m) for m in carried.misfits]}
        print(json.dumps(told, indent=1))
        return
    for misfit in carried.misfits:
        now = "" if misfit.new_id is None else f" (now {misfit.new_id})"
        frames = f" at frames {', '.join(map(str, misfit.frames))}" if misfit.frames else ""
        print(f"object {misfit.object_id}{now}{frames}: {misfit.problem}")
    print(f"{len(carried.new_ids)} objects are on {version} now; {len(carried.misfits)} to look at")


def save(
    store: opt.StoreArg,
    name: Annotated[
        str | None, typer.Option(help="Of the version.", show_default="named after its content")
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Write the labels as edited as an immutable label version."""
    from fleetlabel.labels import save_version

    version = save_version(_open(store), name)
    told = {"labels": version.name, "base": version.base, **version.provenance}
    _tell(
        as_json,
        told,
        f"labels {version.name}: {version.base} and {told['journal_sequence']} records of edits",
    )


def _open(store: Path) -> Labels:
    from fleetlabel.labels import Labels

    return Labels.open(SequenceStore.open(store))


def _parse_box(text: str) -> tuple[int, int, str]:
    match = re.fullmatch(r"(\d+)@(\d+)(?:/(.+))?", text)
    if match is None:
        raise UsageError(f"{text!r} names no box; write for example 12@40, or 12@40/front_camera")
    return int(match[1]), int(match[2]), match[3] or ""


def line_of(record: Record, in_effect: bool) -> str:
    """A record in one line."""
    when = datetime.fromtimestamp(record.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if record.undoes is not None or record.redoes is not None:
        step = record.step.value if record.step else "revert"
        what = f"{step} of record {record.undoes or record.redoes}"
    else:
        what = ", ".join(dict.fromkeys(edit.kind for edit in record.edits)) or "another base version"
    objects = ", ".join(map(str, record.objects[:5])) + (", ..." if record.objects[5:] else "")
    reason = f": {record.reason}" if record.reason else ""
    taken_back = "" if in_effect else " (taken back)"
    return (
        f"{record.sequence:5} {when} {record.author} {what} [{objects}] on {record.base}{reason}{taken_back}"
    )


def _flat(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_rounded(value)}" for name, value in values.items() if value is not None)


def _rounded(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(entry) for entry in value]
    return round(value, 3) if isinstance(value, float) else value


def _tell(as_json: bool, document: dict[str, Any], text: str) -> None:
    print(json.dumps(document, indent=1) if as_json else text)
