"""What people said of objects, and the boxes that follow, as messages and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import Flag, LabelObject, Note, ObjectBoxes, PictureBox, Pose, Segment
from fleetlabel.labels.objects import AttributeValue, joined_segments
from fleetlabel.labels.spans import Spans
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.v1 import objects_pb2
from fleetlabel.wire.boxes import Block, Provenance, boxes2d_message, boxes2d_of, boxes3d_message, boxes3d_of
from fleetlabel.wire.columns import column_bytes, column_of, numbers
from fleetlabel.wire.errors import RequestError

_FLAGS = {
    Flag.ABSENT: objects_pb2.OBJECT_FLAG_ABSENT,
    Flag.OCCLUSION: objects_pb2.OBJECT_FLAG_OCCLUSION,
    Flag.TRUNCATION: objects_pb2.OBJECT_FLAG_TRUNCATION,
    Flag.IGNORE: objects_pb2.OBJECT_FLAG_IGNORE,
}
_FLAG_OF = {number: flag for flag, number in _FLAGS.items()}
_FLAG_VALUES = {
    Flag.ABSENT: "true",
    Flag.OCCLUSION: "a whole number from 0 to 3",
    Flag.TRUNCATION: "a number from 0 to 1",
    Flag.IGNORE: "true or false",
}
_LONGEST_TEXT = 10_000
_INT64 = range(-(2**63), 2**63)


# --- values ---------------------------------------------------------------------------------------------------------


def value_message(value: AttributeValue) -> objects_pb2.AttributeValue:
    """A value; a whole number that 64 bits cannot hold goes as text."""
    if isinstance(value, bool):
        return objects_pb2.AttributeValue(bool_value=value)
    if isinstance(value, int):
        if value in _INT64:
            return objects_pb2.AttributeValue(int_value=value)
        return objects_pb2.AttributeValue(string_value=str(value))
    if isinstance(value, float):
        return objects_pb2.AttributeValue(double_value=value)
    return objects_pb2.AttributeValue(string_value=value)


def value_of(message: objects_pb2.AttributeValue, what: str) -> AttributeValue:
    """The value that a message holds.

    Raises:
        RequestError: it holds none, or one that no label can have.
    """
    kind = message.WhichOneof("value")
    if kind is None:
        raise RequestError(what, "a value", "none")
    value: AttributeValue = getattr(message, kind)
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(what, "a finite number", str(value))
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise RequestError(what, f"up to {_LONGEST_TEXT} characters", str(len(value)))
    return value


# --- what people said -----------------------------------------------------------------------------------------------


def object_message(item: LabelObject) -> objects_pb2.LabelObject:
    """An object."""
    message = objects_pb2.LabelObject(
        object_id=item.object_id,
        flipped=item.flipped,
        size_lwh_m=item.size_lwh_m or (),
        stationary=item.stationary,
        start_frame=item.start,
        stop_frame=item.stop,
    )
    for segment in item.segments:
        message.segments.add(
            camera=segment.camera,
            track_id=segment.track_id,
            start_frame=segment.start,
            stop_frame=segment.stop,
        )
    for frame in sorted(item.poses):
        pose = item.poses[frame]
        message.cuboid_keyframes.add(frame=frame, center_m=pose.center_m, yaw_rad=pose.yaw_rad)
    for camera, frame in sorted(item.boxes):
        box = item.boxes[camera, frame]
        message.picture_keyframes.add(
            camera=camera, frame=frame, xyxy_px=box.xyxy_px, amodal_xyxy_px=box.amodal_xyxy_px or ()
        )
    for flag, camera in sorted(item.flags, key=lambda key: (_FLAGS[key[0]], key[1])):
        spans = message.flags.add(flag=_FLAGS[flag], camera=camera).spans
        _fill_spans(spans, item.flags[flag, camera])
    for start, stop, class_name in item.classes:
        message.classes.add(start_frame=start, stop_frame=stop, class_name=class_name)
    for name in sorted(item.attributes):
        _fill_spans(message.attributes.add(name=name).spans, item.attributes[name])
    for start, stop, _ in item.accepted:
        message.accepted.add(start_frame=start, stop_frame=stop)
    for note in item.notes:
        message.notes.add(text=note.text, frame=note.frame)
    return message


def object_of(message: objects_pb2.LabelObject, what: str) -> LabelObject:
    """The object that a message holds, in its one canonical form.

    Raises:
        RequestError: it is not as objects.proto says; names the field.
    """
    return LabelObject(
        object_id=_at_least_0(message.object_id, f"{what}.object_id"),
        segments=_segments(message.segments, f"{what}.segments"),
        poses=_poses(message.cuboid_keyframes, f"{what}.cuboid_keyframes"),
        boxes=_boxes(message.picture_keyframes, f"{what}.picture_keyframes"),
        size_lwh_m=_size(message.size_lwh_m, f"{what}.size_lwh_m"),
        stationary=message.stationary if message.HasField("stationary") else None,
        flipped=message.flipped,
        start=_maybe_frame(message, "start_frame", what),
        stop=_maybe_frame(message, "stop_frame", what),
        flags=_flags(message.flags, f"{what}.flags"),
        classes=_spans(
            ((each, _text(each.class_name, f"{what}.classes.class_name")) for each in message.classes),
            f"{what}.classes",
        ),
        attributes=_attributes(message.attributes, f"{what}.attributes"),
        accepted=_spans(((each, True) for each in message.accepted), f"{what}.accepted"),
        notes=tuple(
            Note(
                _text(each.text, f"{what}.notes[{i}].text"), _maybe_frame(each, "frame", f"{what}.notes[{i}]")
            )
            for i, each in enumerate(message.notes)
        ),
    )


# --- boxes that follow ------------------------------------------------------------------------------------------------


def solved_message(
    item: LabelObject,
    class_name: str,
    boxes: ObjectBoxes,
    n_frames: int,
    provenance: Callable[[str], Provenance] | None = None,
) -> objects_pb2.SolvedObject:
    """An object with all of its boxes.

    Args:
        n_frames: of the sequence.
        provenance: of its boxes in a camera's pictures, and of its cuboids (camera "").
    """
    message = objects_pb2.SolvedObject(object=object_message(item), class_name=class_name)
    cuboids = Block(boxes.cuboids, 0, n_frames, "", *_same(provenance, "", len(boxes.cuboids)))
    message.cuboids.boxes.CopyFrom(boxes3d_message(cuboids))
    message.cuboids.solved = "" in boxes.solved
    message.cuboids.std_m_f64 = _std_bytes(boxes.std.get(""))
    for camera in sorted(boxes.pictures):
        shown = boxes.pictures[camera]
        if not len(shown):
            continue
        block = Block(shown, 0, n_frames, camera, *_same(provenance, camera, len(shown)))
        message.pictures.add(
            boxes=boxes2d_message(block),
            solved=camera in boxes.solved,
            std_px_f64=_std_bytes(boxes.std.get(camera)),
        )
    return message


def solved_of(
    message: objects_pb2.SolvedObject, what: str = "object"
) -> tuple[LabelObject, str, ObjectBoxes]:
    """The object that a message holds, its class where it begins, and its boxes.

    Raises:
        RequestError: it is not as objects.proto says; names the field.
    """
    item = object_of(message.object, f"{what}.object")
    cuboids: Boxes3D = boxes3d_of(message.cuboids.boxes, f"{what}.cuboids.boxes").boxes
    pictures: dict[str, Boxes2D] = {}
    std: dict[str, F64] = {}
    solved = {""} if message.cuboids.solved else set()
    if message.cuboids.solved:
        std[""] = _std(message.cuboids.std_m_f64, f"{what}.cuboids.std_m_f64", len(cuboids), 3)
    for i, each in enumerate(message.pictures):
        block = boxes2d_of(each.boxes, f"{what}.pictures[{i}].boxes")
        pictures[block.camera] = block.boxes
        if each.solved:
            solved.add(block.camera)
            std[block.camera] = _std(each.std_px_f64, f"{what}.pictures[{i}].std_px_f64", len(block.boxes), 4)
    return item, message.class_name, ObjectBoxes(cuboids, pictures, frozenset(solved), std)


def _same(
    provenance: Callable[[str], Provenance] | None, camera: str, rows: int
) -> tuple[tuple[Provenance, ...], Any]:
    if provenance is None:
        return (), np.full(rows, -1, dtype=np.int16)
    return (provenance(camera),), np.zeros(rows, dtype=np.int16)


def _std_bytes(std: F64 | None) -> bytes:
    return b"" if std is None else column_bytes(std, math.nan)


def _std(data: bytes, what: str, rows: int, each: int) -> F64:
    return column_of(data, what, np.float64, rows, (each,), math.nan)


# --- fields ---------------------------------------------------------------------------------------------------------


def _fill_spans(target: Any, spans: Spans[Any]) -> None:
    for start, stop, value in spans:
        target.add(start_frame=start, stop_frame=stop, value=value_message(value))


def _spans(entries: Iterable[tuple[Any, Any]], what: str) -> Spans[Any]:
    """Values over ranges, in canonical form; entries are a message with the range, and the value."""
    spans: Spans[Any] = Spans()
    end = 0
    for i, (message, value) in enumerate(entries):
        start, stop = message.start_frame, message.stop_frame
        if not end <= start < stop:
            expected = "ranges of frames that ascend and do not overlap"
            raise RequestError(f"{what}[{i}]", expected, f"{start} to {stop} after one that ends at {end}")
        spans, end = _appended(spans, start, stop, value), stop
    return spans


def _appended(spans: Spans[Any], start: int, stop: int, value: Any) -> Spans[Any]:
    last = spans.ranges[-1] if spans.ranges else None
    if last and last[1] == start and type(last[2]) is type(value) and last[2] == value:
        return Spans((*spans.ranges[:-1], (last[0], stop, value)))
    return Spans((*spans.ranges, (start, stop, value)))


def _segments(messages: Sequence[Any], what: str) -> tuple[Segment, ...]:
    for i, each in enumerate(messages):
        if not 0 <= each.start_frame < each.stop_frame or each.track_id < 0:
            raise RequestError(
                f"{what}[{i}]",
                "0 <= start_frame < stop_frame and a track's id",
                f"{each.start_frame} to {each.stop_frame} of track {each.track_id}",
            )
    return joined_segments([Segment(m.camera, m.track_id, m.start_frame, m.stop_frame) for m in messages])


def _poses(messages: Sequence[Any], what: str) -> dict[int, Pose]:
    poses = {}
    for i, each in enumerate(messages):
        center = numbers(each.center_m, f"{what}[{i}].center_m", 3)
        (yaw,) = numbers((each.yaw_rad,), f"{what}[{i}].yaw_rad", 1)
        poses[_at_least_0(each.frame, f"{what}[{i}].frame")] = Pose((center[0], center[1], center[2]), yaw)
    return poses


def _boxes(messages: Sequence[Any], what: str) -> dict[tuple[str, int], PictureBox]:
    boxes = {}
    for i, each in enumerate(messages):
        visible = _edges(each.xyxy_px, f"{what}[{i}].xyxy_px")
        amodal = _edges(each.amodal_xyxy_px, f"{what}[{i}].amodal_xyxy_px") if each.amodal_xyxy_px else None
        key = _text(each.camera, f"{what}[{i}].camera"), _at_least_0(each.frame, f"{what}[{i}].frame")
        boxes[key] = PictureBox(visible, amodal)
    return boxes


def _edges(values: Sequence[float], what: str) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = numbers(values, what, 4)
    if not (x1 < x2 and y1 < y2):
        raise RequestError(what, "x1 < x2 and y1 < y2", str([x1, y1, x2, y2]))
    return x1, y1, x2, y2


def _size(values: Sequence[float], what: str) -> tuple[float, float, float] | None:
    if not values:
        return None
    length, width, height = numbers(values, what, 3, positive=True)
    return length, width, height


def _flags(messages: Sequence[Any], what: str) -> dict[tuple[Flag, str], Spans[AttributeValue]]:
    flags = {}
    for i, each in enumerate(messages):
        flag = _FLAG_OF.get(each.flag)
        if flag is None:
            raise RequestError(f"{what}[{i}].flag", "one of ObjectFlag", str(each.flag))
        where = f"{what}[{i}].spans"
        entries = (
            (span, _flag_value(flag, span, f"{where}[{k}].value")) for k, span in enumerate(each.spans)
        )
        flags[flag, each.camera] = _spans(entries, where)
    return flags


def _flag_value(flag: Flag, span: Any, what: str) -> AttributeValue:
    value = value_of(span.value, what)
    good = {
        Flag.ABSENT: value is True,
        Flag.OCCLUSION: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 3,
        Flag.TRUNCATION: isinstance(value, float) and 0 <= value <= 1,
        Flag.IGNORE: isinstance(value, bool),
    }[flag]
    if not good:
        raise RequestError(what, _FLAG_VALUES[flag], repr(value))
    return value


def _attributes(messages: Sequence[Any], what: str) -> dict[str, Spans[AttributeValue]]:
    attributes = {}
    for i, each in enumerate(messages):
        where = f"{what}[{i}].spans"
        entries = ((span, value_of(span.value, f"{where}[{k}].value")) for k, span in enumerate(each.spans))
        attributes[_text(each.name, f"{what}[{i}].name")] = _spans(entries, where)
    return attributes


def _text(text: str, what: str) -> str:
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise RequestError(what, f"text of 1 to {_LONGEST_TEXT} characters", f"{len(text)} characters")
    return text


def _at_least_0(number: int, what: str) -> int:
    if number < 0:
        raise RequestError(what, "0 or more", str(number))
    return number


def _maybe_frame(message: Any, name: str, what: str) -> int | None:
    return _at_least_0(getattr(message, name), f"{what}.{name}") if message.HasField(name) else None
