"""What the timeline tells of the selected object, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from fleetlabel.geometry import quaternion, yaw
from fleetlabel.geometry.arrays import F64, I64, U8, Bool
from fleetlabel.labels import Flag, LabelObject, ObjectBoxes
from fleetlabel.labels.base import is_evidence
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.viewers.editor.source import Source, TrackTable

# A frame whose box an edit moved by more than this is marked.
MOVED_M, MOVED_RAD = 0.3, np.radians(5.0)


class Presence(IntEnum):
    """What there is of an object at a frame."""

    NOTHING = 0
    FILLED_IN = 1
    SEEN = 2


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One view of an object over F frames.

    Attributes:
        name: of the camera; "3D" for cuboids.
        presence: (F,) :class:`Presence`.
        keyframes: frames that people set.
    """

    name: str
    presence: U8
    keyframes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The timeline of F frames.

    Attributes:
        n_objects: (F,) of the whole sequence.
        lanes: of the selected object; none if there is none.
        occluded, absent, accepted: (F,) bool.
        std_m: (F,) how unsure the place is; NaN where nobody says.
        changed: (F,) bool the last edit moved the box.
        notes: frames with notes.
    """

    n_objects: I64
    lanes: tuple[Lane, ...]
    occluded: Bool
    absent: Bool
    accepted: Bool
    std_m: F64
    changed: Bool
    notes: tuple[int, ...]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.n_objects)


def timeline_of(source: Source, object_id: int | None, changed: Bool) -> Timeline:
    """The timeline with an object selected, or none."""
    n = source.info.n_frames
    counts = objects_per_frame(source.tracks(), n)
    none = np.zeros(n, dtype=np.bool_)
    item = source.now.state.get(object_id) if object_id is not None else None
    if item is None:
        return Timeline(counts, (), none, none, none, np.full(n, np.nan), changed, ())
    boxes, frames = source.boxes(item.object_id), np.arange(n)
    return Timeline(
        n_objects=counts,
        lanes=tuple(_lanes(item, boxes, n)),
        occluded=_occluded(item, boxes.cuboids, frames),
        absent=item.flag(Flag.ABSENT).mask(frames),
        accepted=item.accepted.mask(frames),
        std_m=_std(boxes, n),
        changed=changed,
        notes=tuple(note.frame for note in item.notes if note.frame is not None),
    )


def objects_per_frame(tracks: TrackTable, n_frames: int) -> I64:
    """(F,) how many tracks there are at each frame, gaps counted as if they were none."""
    steps = np.zeros(n_frames + 1, dtype=np.int64)
    np.add.at(steps, tracks.first, 1)
    np.add.at(steps, np.minimum(tracks.last + 1, n_frames), -1)
    return np.cumsum(steps)[:-1]


def moved_frames(before: ObjectBoxes | None, after: ObjectBoxes | None, n_frames: int) -> Bool:
    """(F,) where an edit moved an object's cuboid by more than 0.3 m or 5 degrees; coming and going counts."""
    moved: Bool = np.zeros(n_frames, dtype=np.bool_)
    if before is None or after is None:
        return moved
    one, two = before.cuboids, after.cuboids
    both, left, right = np.intersect1d(one.frame, two.frame, assume_unique=True, return_indices=True)
    far = np.linalg.norm(one.center_m[left] - two.center_m[right], axis=1) > MOVED_M
    turn = yaw.difference(quaternion.yaw_of(one.q_wxyz[left]), quaternion.yaw_of(two.q_wxyz[right]))
    moved[both[far | (np.abs(turn) > MOVED_RAD)]] = True
    moved[np.setxor1d(one.frame, two.frame)] = True
    return moved


def _lanes(item: LabelObject, boxes: ObjectBoxes, n: int) -> list[Lane]:
    views: Mapping[str, Boxes2D | Boxes3D] = {"": boxes.cuboids, **boxes.pictures}
    lanes = []
    for camera, shown in views.items():
        if not len(shown):
            continue
        presence = np.zeros(n, dtype=np.uint8)
        presence[shown.frame] = np.where(is_evidence(shown), Presence.SEEN, Presence.FILLED_IN)
        lanes.append(Lane(camera or "3D", presence, tuple(item.keyframes(camera))))
    return lanes


def _occluded(item: LabelObject, cuboids: Boxes3D, frames: I64) -> Bool:
    level = np.full(len(frames), -1, dtype=np.int64)
    level[cuboids.frame] = cuboids.occlusion
    item.flag(Flag.OCCLUSION).fill(frames, level)
    return level > 0


def _std(boxes: ObjectBoxes, n: int) -> F64:
    std = np.full(n, np.nan)
    if "" in boxes.std and len(boxes.std[""]) == len(boxes.cuboids):
        std[boxes.cuboids.frame] = np.linalg.norm(boxes.std[""][:, :2], axis=1)
    return std
