"""Which boxes belong to which object: cutting an object in two, and joining two to one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fleetlabel.geometry.arrays import I64
from fleetlabel.labels.objects import Flag, LabelObject, Note, Segment, joined_segments
from fleetlabel.labels.spans import Spans, runs_of
from fleetlabel.labels.state import LabelState
from fleetlabel.model.errors import EditError


def cut(item: LabelObject, frame: int, camera: str, new_id: int) -> tuple[LabelObject, LabelObject]:
    """An object up to a frame, and what it is from there on, as an object of another id.

    Args:
        camera: only that camera's boxes are cut off; "" cuts everything.
    """
    near, far = [], []
    for segment in item.segments:
        if camera and segment.camera != camera:
            near.append(segment)
        else:
            near.append(replace(segment, stop=min(segment.stop, frame)))
            far.append(replace(segment, start=max(segment.start, frame)))
    goes = {key for key in item.boxes if key[1] >= frame and (not camera or key[0] == camera)}
    flags = {key: spans.cut(frame) for key, spans in item.flags.items() if not camera or key[1] == camera}
    shared = {key: spans for key, spans in item.flags.items() if key not in flags}
    before = replace(
        item,
        segments=joined_segments(near),
        boxes={key: box for key, box in item.boxes.items() if key not in goes},
        flags=shared | {key: pair[0] for key, pair in flags.items() if pair[0]},
    )
    after = replace(
        item,
        object_id=new_id,
        segments=joined_segments(far),
        boxes={key: item.boxes[key] for key in goes},
        flags={
            key: spans.cut(frame)[1] for key, spans in shared.items() if spans.cut(frame)[1] and not key[1]
        }
        | {key: pair[1] for key, pair in flags.items() if pair[1]},
        classes=item.classes.cut(frame)[1],
        attributes={
            name: pair[1] for name, spans in item.attributes.items() if (pair := spans.cut(frame))[1]
        },
        poses={},
        accepted=Spans(),
        notes=(),
        start=item.start if item.start is not None and item.start > frame else None,
    )
    if camera:
        return before, replace(after, size_lwh_m=None, stationary=None, flipped=False)
    before = replace(
        before,
        poses={at: pose for at, pose in item.poses.items() if at < frame},
        classes=item.classes.cut(frame)[0],
        attributes={
            name: pair[0] for name, spans in item.attributes.items() if (pair := spans.cut(frame))[0]
        },
        accepted=item.accepted.cut(frame)[0],
        notes=tuple(note for note in item.notes if note.frame is None or note.frame < frame),
        stop=None,
    )
    after = replace(
        after,
        poses={at: pose for at, pose in item.poses.items() if at >= frame},
        accepted=item.accepted.cut(frame)[1],
        notes=tuple(note for note in item.notes if note.frame is not None and note.frame >= frame),
    )
    return before, after


def join(state: LabelState, kept: LabelObject, ended: LabelObject) -> LabelObject:
    """Two objects as one, which keeps the first one's id, and its word wherever both have one.

    Raises:
        EditError: both were seen in one picture, or have cuboids at one frame.
    """
    cameras = sorted({*kept.cameras, *ended.cameras})
    mine = {camera: state.evidence_frames(kept, camera) for camera in cameras}
    theirs = {camera: state.evidence_frames(ended, camera) for camera in cameras}
    for camera in cameras:
        _refuse_two_boxes(kept, ended, camera, sorted(mine[camera] & theirs[camera]))
    flags = {
        key: kept.flags.get(key, Spans()).over(ended.flags.get(key, Spans()))
        for key in {*kept.flags, *ended.flags}
    }
    for key in [key for key in flags if key[0] is Flag.ABSENT]:
        seen = set().union(*(mine[c] | theirs[c] for c in cameras if key[1] in ("", c)))
        left = flags[key]
        for start, stop in runs_of(_ascending(seen)):
            left = left.assign(start, stop, None)
        flags[key] = left
    return LabelObject(
        object_id=kept.object_id,
        segments=joined_segments([*_trimmed(kept), *_trimmed(ended)]),
        poses={**ended.poses, **kept.poses},
        boxes={**ended.boxes, **kept.boxes},
        size_lwh_m=kept.size_lwh_m or ended.size_lwh_m,
        stationary=ended.stationary if kept.stationary is None else kept.stationary,
        flipped=kept.flipped,
        flags={key: spans for key, spans in flags.items() if spans},
        classes=_classes(state, kept, ended),
        attributes={
            name: kept.attributes.get(name, Spans()).over(ended.attributes.get(name, Spans()))
            for name in {*kept.attributes, *ended.attributes}
        },
        accepted=kept.accepted.over(ended.accepted),
        notes=sorted_notes({*kept.notes, *ended.notes}),
    )


def is_empty(state: LabelState, item: LabelObject) -> bool:
    """Whether an object has no box at all."""
    return not any(state.evidence_frames(item, camera) for camera in item.cameras)


def sorted_notes(notes: set[Note]) -> tuple[Note, ...]:
    """Notes in their one order: the whole track's first, then by frame."""
    return tuple(sorted(notes, key=lambda note: (-1 if note.frame is None else note.frame, note.text)))


def _classes(state: LabelState, kept: LabelObject, ended: LabelObject) -> Spans[str]:
    """The class of the object that is kept; where it says nothing, that of the machine's track."""
    if not kept.segments and not kept.classes:
        return ended.classes
    own, other = state.class_of(kept), state.class_of(ended)
    if not kept.classes:
        same = not ended.classes and (own == other or not ended.segments)
        return Spans() if same else Spans(((0, state.base.n_frames, own),))
    joined = kept.classes.over(ended.classes)
    return joined if own == other else joined.over(Spans(((0, state.base.n_frames, own),)))


def _ascending(frames: set[int]) -> I64:
    return np.array(sorted(frames), dtype=np.int64)


def _trimmed(item: LabelObject) -> list[Segment]:
    """Segments without what was trimmed: what the other object brings is not trimmed along."""
    start = 0 if item.start is None else item.start
    return [
        replace(
            segment,
            start=max(segment.start, start),
            stop=segment.stop if item.stop is None else min(segment.stop, item.stop),
        )
        for segment in item.segments
    ]


def _refuse_two_boxes(kept: LabelObject, ended: LabelObject, camera: str, both: list[int]) -> None:
    if both:
        ranges = [f"{a}" if b == a + 1 else f"{a}..{b - 1}" for a, b in runs_of(_ascending(set(both)))]
        some = ", ".join([*ranges[:5], *(["..."] if ranges[5:] else [])])
        raise EditError(
            f"objects {kept.object_id} and {ended.object_id} cannot be one: both have "
            f"{f'a box in {camera}' if camera else 'a cuboid'} at frames {some}; say where one of them is absent, or "
            "split it first"
        )
