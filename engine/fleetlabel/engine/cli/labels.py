"""Commands about people's edits: ``history``, ``diff``, ``why``, ``revert``, ``rebase``, ``save``."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetlabel.engine.cli import options as opt
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore

if TYPE_CHECKING:
    from fleetlabel.labels import CarriedOver, Commit, Difference, Labels, Reason, Record
    from fleetlabel.store import LabelVersion

Object = Annotated[int | None, typer.Option("--object", help="Just what concerns this object.")]
_BOX = "OBJECT@FRAME[/CAMERA]"
Box = Annotated[
    str | None,
    typer.Option("--box", metavar=_BOX, help="Just what says something of this box; see `why`."),
]
BoxArg = Annotated[str, typer.Argument(metavar=_BOX, help="Which box; without a camera, the cuboid.")]
Record_ = Annotated[int, typer.Argument(help="Number of the record, as in history.", show_default=False)]
Version = Annotated[
    str, typer.Argument(help="A machine's label version, of a better model's run.", show_default=False)
]
Why = Annotated[str, typer.Option("--reason", help="Why.")]
SavedName = Annotated[
    str | None, typer.Option("--name", help="Of the version.", show_default="named after its content")
]
Author = Annotated[
    str | None, typer.Option("--author", help="Who says so.", show_default="the user of this machine")
]
Moment = Annotated[
    str,
    typer.Argument(
        help="A label version, the number of a record (0: before all), or now.", show_default=False
    ),
]


def history(
    store: opt.StoreArg, object_id: Object = None, box: Box = None, as_json: opt.Json = False
) -> None:
    """Tell who edited what, when and why."""
    labels = _open(store)
    about = (object_id, None, None) if box is None else box_of(box, object_id)
    records = [record for record in labels.history.records if _is_about(record, *about)]
    entries = [(record, labels.history.is_in_effect(record.sequence)) for record in records]
    tell_history(entries, {"base": labels.base.name}, box or object_id, as_json)


def _is_about(record: Record, object_id: int | None, frame: int | None, camera: str | None) -> bool:
    from fleetlabel.labels.edits import concerns

    if frame is None:
        return object_id is None or object_id in record.objects
    return any(object_id in edit.touches and concerns(edit, frame, camera) for edit in record.edits)


def tell_history(
    entries: Sequence[tuple[Record, bool]], about: dict[str, Any], of: str | int | None, as_json: bool
) -> None:
    """Prints records, each with whether it is in effect."""
    if as_json:
        told = [{**record.to_json(), "in_effect": in_effect} for record, in_effect in entries]
        print(json.dumps({**about, "records": told}, indent=1))
        return
    for record, in_effect in entries:
        print(line_of(record, in_effect))
    if not entries:
        what = "these labels" if of is None else f"box {of}" if isinstance(of, str) else f"object {of}"
        print(f"nobody has edited {what} yet")


def diff(store: opt.StoreArg, before: Moment, after: Moment, as_json: opt.Json = False) -> None:
    """Tell which objects differ between two label versions or moments, and in what."""
    from fleetlabel.labels import differences, snapshot_of

    labels = _open(store)
    found = differences(snapshot_of(labels, before), snapshot_of(labels, after))
    tell_differences(found, before, after, as_json)


def tell_differences(found: Iterable[Difference], before: str, after: str, as_json: bool) -> None:
    """Prints how labels differ."""
    if as_json:
        told = {"before": before, "after": after, "objects": [d.to_json() for d in found]}
        print(json.dumps(told, indent=1))
        return
    count = 0
    for count, difference in enumerate(found, 1):  # noqa: B007 - the last one is told
        boxes = [
            f"{camera or 'cuboids'} +{added} -{removed} ~{changed}"
            for camera, (added, removed, changed) in difference.boxes.items()
        ]
        said = f" ({', '.join(difference.said)})" if difference.said else ""
        print(f"object {difference.object_id} {difference.change}{said}: {', '.join(boxes) or 'same boxes'}")
    print(f"{count} objects differ between {before} and {after}")


def why(store: opt.StoreArg, box: BoxArg, as_json: opt.Json = False) -> None:
    """Tell what is behind a box: detections, keyframes, model, parameters, people."""
    from fleetlabel.labels import explain

    tell_reason(explain(_open(store), *box_of(box)), box, as_json)


def tell_reason(found: Reason, box: str, as_json: bool) -> None:
    """Prints what is behind a box."""
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
    sequence: Record_,
    author: Author = None,
    reason: Why = "",
    as_json: opt.Json = False,
) -> None:
    """Take back one record of edits, and leave all others."""
    tell_reverted(
        sequence, _open(store).revert(sequence, author=author or getpass.getuser(), reason=reason), as_json
    )


def tell_reverted(sequence: int, commit: Commit, as_json: bool) -> None:
    """Prints that a record is taken back."""
    assert commit.record is not None
    told = {"reverted": sequence, "record": commit.record.to_json()}
    _tell(as_json, told, f"record {sequence} is taken back")


def rebase(
    store: opt.StoreArg,
    version: Version,
    author: Author = None,
    reason: Why = "",
    as_json: opt.Json = False,
) -> None:
    """Take people's edits along to another run's labels, and tell what does not fit there."""
    tell_rebased(
        version, _open(store).rebase_onto(version, author=author or getpass.getuser(), reason=reason), as_json
    )


def tell_rebased(version: str, carried: CarriedOver, as_json: bool) -> None:
    """Prints what became of edits on another run's labels."""
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
    name: SavedName = None,
    as_json: opt.Json = False,
) -> None:
    """Write the labels as edited as an immutable label version."""
    from fleetlabel.labels import save_version

    tell_saved(save_version(_open(store), name), as_json)


def tell_saved(version: LabelVersion, as_json: bool) -> None:
    """Prints what was saved."""
    told = {"labels": version.name, "base": version.base, **version.provenance}
    _tell(
        as_json,
        told,
        f"labels {version.name}: {version.base} and {int(told['journal_sequence'])} records of edits",
    )


def _open(store: Path) -> Labels:
    from fleetlabel.labels import Labels

    return Labels.open(SequenceStore.open(store))


def box_of(text: str, object_id: int | None = None) -> tuple[int, int, str]:
    """Object, frame and camera of a box, as people write it.

    Raises:
        UsageError: they wrote something else, or an object besides.
    """
    match = re.fullmatch(r"(\d+)@(\d+)(?:/(.+))?", text)
    if match is None:
        raise UsageError(f"{text!r} names no box; write for example 12@40, or 12@40/front_camera")
    if object_id is not None:
        raise UsageError("--object and --box exclude each other: a box is of one object")
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
