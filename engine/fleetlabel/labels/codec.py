"""Edits and objects as plain JSON, and back; what is not known is refused, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.edits import KINDS, Restore, field_names
from fleetlabel.labels.objects import (
    Flag,
    LabelObject,
    Note,
    PictureBox,
    Pose,
    Segment,
    joined_segments,
)
from fleetlabel.labels.spans import Spans
from fleetlabel.model.errors import EditError

_OBJECT_KEYS = {
    *("object_id", "segments", "poses", "boxes", "size_lwh_m", "stationary", "flipped", "start", "stop"),
    *("flags", "classes", "attributes", "accepted", "notes"),
}


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """JSON-ready: ``kind`` and the edit's fields."""
    values: dict[str, Any] = {name: getattr(edit, name) for name in field_names(type(edit))}
    if isinstance(edit, Restore):
        values["images"] = [
            [object_id, None if image is None else object_to_json(image)] for object_id, image in edit.images
        ]
    return {"kind": edit.kind, **{name: _plain(value) for name, value in values.items()}}


def edit_from_json(document: Any) -> Edit:
    """The inverse of :func:`edit_to_json`.

    Raises:
        EditError: it is no edit, or one of a kind or with fields that this FleetLabel does not know.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("kind"), str):
        raise EditError(f"an edit is an object with a kind, found {_short(document)}")
    kind = KINDS.get(document["kind"])
    if kind is None:
        raise EditError(
            f"edits of kind {document['kind']!r} are not known here; a newer FleetLabel wrote them: update. "
            f"Known are {sorted(KINDS)}"
        )
    values = {name: value for name, value in document.items() if name != "kind"}
    unknown = sorted(set(values) - set(field_names(kind)))
    if unknown:
        raise EditError(f"{kind.kind} has no fields {unknown}; it has {list(field_names(kind))}")
    if kind is Restore:
        values["images"] = _images(values.get("images"))
    try:
        return kind(**{name: _tuples(value) for name, value in values.items()})
    except TypeError as error:
        raise EditError(
            f"{kind.kind} is not complete: found {sorted(values)}, it has {list(field_names(kind))}"
        ) from error


def object_to_json(item: LabelObject) -> dict[str, Any]:
    """JSON-ready; equal objects give equal documents."""
    return {
        "object_id": item.object_id,
        "segments": [[s.camera, s.track_id, s.start, s.stop] for s in item.segments],
        "poses": [
            [frame, *item.poses[frame].center_m, item.poses[frame].yaw_rad] for frame in sorted(item.poses)
        ],
        "boxes": [
            [*key, list(item.boxes[key].xyxy_px), _plain(item.boxes[key].amodal_xyxy_px)]
            for key in sorted(item.boxes)
        ],
        "size_lwh_m": _plain(item.size_lwh_m),
        "stationary": item.stationary,
        "flipped": item.flipped,
        "start": item.start,
        "stop": item.stop,
        "flags": [[*key, _spans(item.flags[key])] for key in sorted(item.flags)],
        "classes": _spans(item.classes),
        "attributes": [[name, _spans(item.attributes[name])] for name in sorted(item.attributes)],
        "accepted": _spans(item.accepted),
        "notes": [[note.text, note.frame] for note in item.notes],
    }


def object_from_json(document: Any) -> LabelObject:
    """The inverse of :func:`object_to_json`.

    Raises:
        EditError: it is no such document.
    """
    if not isinstance(document, Mapping) or set(document) != _OBJECT_KEYS:
        raise EditError(f"an object has the fields {sorted(_OBJECT_KEYS)}, found {_short(document)}")
    try:
        return LabelObject(
            object_id=document["object_id"],
            segments=joined_segments([Segment(*entry) for entry in document["segments"]]),
            poses={frame: Pose((x, y, z), yaw) for frame, x, y, z, yaw in document["poses"]},
            boxes={
                (camera, frame): PictureBox(_tuples(xyxy), _tuples(amodal))
                for camera, frame, xyxy, amodal in document["boxes"]
            },
            size_lwh_m=_tuples(document["size_lwh_m"]),
            stationary=document["stationary"],
            flipped=document["flipped"],
            start=document["start"],
            stop=document["stop"],
            flags={(Flag(flag), camera): _spans_of(spans) for flag, camera, spans in document["flags"]},
            classes=_spans_of(document["classes"]),
            attributes={name: _spans_of(spans) for name, spans in document["attributes"]},
            accepted=_spans_of(document["accepted"]),
            notes=tuple(Note(text, frame) for text, frame in document["notes"]),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise EditError(f"an object is not what it should be ({error}): {_short(document)}") from error


def _images(document: Any) -> tuple[tuple[int, LabelObject | None], ...]:
    if not isinstance(document, list):
        raise EditError(f"restore has a list of images, found {_short(document)}")
    images = []
    for entry in document:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], int):
            raise EditError(f"an image is an id and an object, found {_short(entry)}")
        images.append((entry[0], None if entry[1] is None else object_from_json(entry[1])))
    return tuple(images)


def _spans(spans: Spans[Any]) -> list[list[Any]]:
    return [list(entry) for entry in spans]


def _spans_of(document: Any) -> Spans[Any]:
    return Spans(tuple((start, stop, value) for start, stop, value in document))


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def _short(document: object) -> str:
    text = json.dumps(document, default=str)
    return text if len(text) <= 200 else f"{text[:200]}..."
