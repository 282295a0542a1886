"""Commands about people's edits, carried out by an engine elsewhere; see :mod:`fleetlabel.engine.cli.labels`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetlabel.engine.cli import labels as here
from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.remote_connection import engine_there

if TYPE_CHECKING:
    from fleetlabel.client import RemoteLabels, RemoteSnapshot

Name = Annotated[str, typer.Argument(metavar="SEQUENCE", help="As `list` names it.", show_default=False)]


def history(
    sequence: Name, object_id: here.Object = None, box: here.Box = None, as_json: opt.Json = False
) -> None:
    """Tell who edited what, when and why."""
    frame = camera = None
    of = object_id
    if box is not None:
        of, frame, camera = here.box_of(box, object_id)
    with engine_there() as engine:
        found = list(engine.sequence(sequence).labels.history(object_id=of, frame=frame, camera=camera))
    here.tell_history([(entry.record, entry.in_effect) for entry in found], {}, box or object_id, as_json)


def diff(sequence: Name, before: here.Moment, after: here.Moment, as_json: opt.Json = False) -> None:
    """Tell which objects differ between two label versions or moments, and in what."""
    with engine_there() as engine:
        labels = engine.sequence(sequence).labels
        found = labels.diff(_moment(labels, before), _moment(labels, after))
        here.tell_differences(found, before, after, as_json)


def why(sequence: Name, box: here.BoxArg, as_json: opt.Json = False) -> None:
    """Tell what is behind a box: detections, keyframes, model, parameters, people."""
    with engine_there() as engine:
        here.tell_reason(engine.sequence(sequence).labels.why(*here.box_of(box)), box, as_json)


def revert(sequence: Name, record: here.Record_, reason: here.Why = "", as_json: opt.Json = False) -> None:
    """Take back one record of edits, and leave all others."""
    with engine_there() as engine:
        here.tell_reverted(record, engine.sequence(sequence).labels.revert(record, reason=reason), as_json)


def rebase(sequence: Name, version: here.Version, reason: here.Why = "", as_json: opt.Json = False) -> None:
    """Take people's edits along to another run's labels, and tell what does not fit there."""
    with engine_there() as engine:
        carried = engine.sequence(sequence).labels.rebase_onto(version, reason=reason)
        here.tell_rebased(version, carried, as_json)


def save(sequence: Name, name: here.SavedName = None, as_json: opt.Json = False) -> None:
    """Write the labels as edited as an immutable label version."""
    with engine_there() as engine:
        here.tell_saved(engine.sequence(sequence).labels.save_version(name or ""), as_json)


def _moment(labels: RemoteLabels, which: str) -> RemoteSnapshot:
    """Labels by the name of a version or by the number of a record, ``0`` and ``now`` among them."""
    if which == "now":
        return labels.now()
    is_record = which.isdecimal() and which not in {version.name for version in labels.versions()}
    return labels.at(int(which) if is_record else which)
