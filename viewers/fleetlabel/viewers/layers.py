"""A label version held in memory: its boxes by frame, and where its objects came from and go to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I32, I64, Bool
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore


@dataclass(frozen=True, slots=True, eq=False)
class LabelLayer:
    """All boxes of one label version that are to be shown.

    Attributes:
        version: its name.
        boxes2d: by camera, each with its offsets by frame.
        cuboids: all cuboids, ignore regions left out.
        cuboid_ptr: (F + 1,) rows of frame f are ``ptr[f]:ptr[f + 1]``.
        velocity_mps: (N, 3) of the cuboids; where the labels have none, the difference quotient along the
            track; 0 where there is none either.
    """

    version: str
    boxes2d: dict[str, tuple[Boxes2D, I64]]
    cuboids: Boxes3D
    cuboid_ptr: I64
    velocity_mps: F64

    @classmethod
    def load(cls, store: SequenceStore, version: str, cameras: Sequence[str]) -> LabelLayer:
        """Reads a version's boxes in the given cameras, and its cuboids.

        Raises:
            StoreNotFoundError: there is no such version.
        """
        n_frames = store.info.n_frames
        boxes2d = {}
        for camera in cameras:
            boxes = store.labels2d(version, camera)
            boxes2d[camera] = (boxes, boxes.frame_ptr(n_frames))
        cuboids = store.labels3d(version)
        cuboids = cuboids.take(~cuboids.ignore & np.isfinite(cuboids.center_m).all(axis=1))
        return cls(version, boxes2d, cuboids, cuboids.frame_ptr(n_frames), _velocities(cuboids))

    def boxes2d_at(self, camera: str, frame: int) -> Boxes2D:
        """2D boxes of one picture."""
        boxes, ptr = self.boxes2d[camera]
        return boxes.take(slice(*ptr[[frame, frame + 1]]))

    def cuboids_at(self, frame: int) -> Boxes3D:
        """Cuboids of one frame, each where it is at its own time."""
        return self.cuboids.take(self._rows(frame))

    def centers_at(self, frame: int, timestamp_ns: int) -> F64:
        """Centres (N, 3) of a frame's cuboids, moved along their velocities to another time."""
        rows = self._rows(frame)
        seconds = (timestamp_ns - self.cuboids.timestamp_ns[rows]) * 1e-9
        return self.cuboids.center_m[rows] + seconds[:, None] * self.velocity_mps[rows]

    def velocities_at(self, frame: int) -> F64:
        """Velocities (N, 3) in the world of a frame's cuboids."""
        return self.velocity_mps[self._rows(frame)]

    def trails_at(self, frame: int, first_frame: int) -> tuple[F64, I32]:
        """Paths of a frame's cuboids since ``first_frame``.

        Returns:
            segments (S, 2, 3) in the world between successive boxes of a track, and the row (S,) of each
            among the frame's cuboids.
        """
        rows = np.arange(self.cuboid_ptr[first_frame], self.cuboid_ptr[frame + 1])
        rows = rows[self.cuboids.track_id[rows] >= 0]
        follows, rows = _successors(self.cuboids, rows)
        before, after = rows[:-1][follows], rows[1:][follows]
        now = self.cuboids.track_id[self._rows(frame)]
        order = np.argsort(now, kind="stable")
        place = np.searchsorted(now[order], self.cuboids.track_id[after])
        present = np.append(now[order], -1)[place] == self.cuboids.track_id[after]
        segments = np.stack([self.cuboids.center_m[before], self.cuboids.center_m[after]], axis=1)
        return segments[present], order[place[present]].astype(np.int32)

    def class_names(self) -> tuple[str, ...]:
        """Classes of which there are objects, as the version counts them."""
        used = np.zeros(len(self.cuboids.class_names), dtype=bool)
        for boxes in (self.cuboids, *(boxes for boxes, _ in self.boxes2d.values())):
            used[np.unique(boxes.class_id[~boxes.ignore])] = True
        return tuple(name for name, shown in zip(self.cuboids.class_names, used, strict=True) if shown)

    def _rows(self, frame: int) -> slice:
        return slice(int(self.cuboid_ptr[frame]), int(self.cuboid_ptr[frame + 1]))


def _velocities(cuboids: Boxes3D) -> F64:
    velocity = cuboids.velocity_mps.astype(np.float64)
    unknown: Bool = ~np.all(np.isfinite(velocity), axis=1)
    velocity[unknown] = 0.0
    rows = np.flatnonzero(cuboids.track_id >= 0)
    if not unknown.any() or len(rows) < 2:
        return velocity
    follows, rows = _successors(cuboids, rows)
    # Central differences between the rows before and after on the same track; one-sided at a track's ends.
    before = np.where(np.append(False, follows), np.append(rows[:1], rows[:-1]), rows)
    after = np.where(np.append(follows, False), np.append(rows[1:], rows[-1:]), rows)
    seconds = (cuboids.timestamp_ns[after] - cuboids.timestamp_ns[before]) * 1e-9
    moved = cuboids.center_m[after] - cuboids.center_m[before]
    known = unknown[rows] & (seconds > 0)
    velocity[rows[known]] = moved[known] / seconds[known, None]
    return velocity


def _successors(cuboids: Boxes3D, rows: I64) -> tuple[Bool, I64]:
    """Rows sorted by track and time, and for all but the last whether the next one is of the same track."""
    rows = rows[np.lexsort((cuboids.timestamp_ns[rows], cuboids.track_id[rows]))]
    follows: Bool = np.diff(cuboids.track_id[rows]) == 0
    return follows, rows
