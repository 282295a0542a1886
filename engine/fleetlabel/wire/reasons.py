"""What differs between labels, and what is behind a box, as messages and back."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf import json_format

from fleetlabel.labels import Difference, Reason, Segment
from fleetlabel.model.boxes import Source
from fleetlabel.v1 import boxes_pb2, reasons_pb2
from fleetlabel.wire.edits import record_message, record_of
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.label_answers import struct_of

_CHANGES = {
    "added": reasons_pb2.OBJECT_CHANGE_ADDED,
    "removed": reasons_pb2.OBJECT_CHANGE_REMOVED,
    "changed": reasons_pb2.OBJECT_CHANGE_CHANGED,
}
_CHANGE_OF = {number: name for name, number in _CHANGES.items()}
_CUBOID, _PICTURE = ("center_m", "size_lwh_m", "q_wxyz"), ("xyxy_px", "amodal_xyxy_px")


def difference_message(difference: Difference) -> reasons_pb2.ObjectDifference:
    """How one object differs."""
    message = reasons_pb2.ObjectDifference(
        object_id=difference.object_id, change=_CHANGES[difference.change], said=difference.said
    )
    for camera, (added, removed, changed) in difference.boxes.items():
        message.boxes.add(camera=camera, added=added, removed=removed, changed=changed)
    return message


def difference_of(message: reasons_pb2.ObjectDifference) -> Difference:
    """The difference that a message tells of.

    Raises:
        RequestError: its change is none.
    """
    if message.change not in _CHANGE_OF:
        raise RequestError("change", "added, removed or changed", str(message.change))
    boxes = {each.camera: (each.added, each.removed, each.changed) for each in message.boxes}
    return Difference(message.object_id, _CHANGE_OF[message.change], boxes, tuple(message.said))


def reason_message(reason: Reason) -> reasons_pb2.BoxReason:
    """Everything behind one box."""
    message = reasons_pb2.BoxReason(
        object_id=reason.object_id,
        frame=reason.frame,
        camera=reason.camera,
        box=_box_message(reason.box),
        keyframes=reason.keyframes,
        slips=reason.slips,
        solver=reason.solver or "",
        records=[record_message(record) for record in reason.records],
    )
    if reason.detection is not None:
        message.detection.CopyFrom(_box_message(reason.detection))
        message.detection_row = reason.detection["row"]
    for track in reason.tracks:
        message.tracks.add(
            camera=track.camera, track_id=track.track_id, start_frame=track.start, stop_frame=track.stop
        )
    message.runs.CopyFrom(struct_of(reason.runs))
    return message


def reason_of(message: reasons_pb2.BoxReason) -> Reason:
    """The reason that a message tells of; whole numbers of its runs are floating point."""
    detection: dict[str, Any] | None = None
    if message.HasField("detection"):
        detection = {"row": message.detection_row, **_box_of(message.detection)}
    return Reason(
        object_id=message.object_id,
        frame=message.frame,
        camera=message.camera,
        box=_box_of(message.box),
        detection=detection,
        keyframes=tuple(message.keyframes),
        slips=tuple(message.slips),
        tracks=tuple(Segment(t.camera, t.track_id, t.start_frame, t.stop_frame) for t in message.tracks),
        solver=message.solver or None,
        runs=json_format.MessageToDict(message.runs),
        records=tuple(map(record_of, message.records)),
    )


def _box_message(box: dict[str, Any]) -> reasons_pb2.DescribedBox:
    numbers = {name: box[name] for name in (*_CUBOID, *_PICTURE) if box.get(name) is not None}
    message = reasons_pb2.DescribedBox(class_name=box["class"], score=box["score"], **numbers)
    message.source = cast("boxes_pb2.BoxSource", int(Source[box["source"].upper()]))
    return message


def _box_of(message: reasons_pb2.DescribedBox) -> dict[str, Any]:
    """As :attr:`fleetlabel.labels.Reason.box` has it."""
    names = _CUBOID if message.center_m else _PICTURE
    numbers = {name: list(getattr(message, name)) or None for name in names}
    source = Source(message.source).name.lower()
    return {"class": message.class_name, "source": source, "score": message.score, **numbers}
