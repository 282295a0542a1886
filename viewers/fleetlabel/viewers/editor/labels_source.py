"""Labels as the app reads them: tracks, boxes of an object or a frame, from the base version and people's edits."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from fleetlabel.geometry.arrays import I64, Bool
from fleetlabel.labels import Labels, ObjectBoxes, Snapshot
from fleetlabel.labels.base import BaseLabels
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.store.boxes import B
from fleetlabel.viewers.editor.source import TrackTable

# Somebody who edited so recently is said to be present.
_PRESENT_NS = 300_000_000_000


class LabelsSource:
    """The reading half of a :class:`~fleetlabel.viewers.editor.source.Source`.

    Attributes:
        labels: that are read.
        author: who edits.
        solve_errors: objects that could not be solved, and why.
    """

    def __init__(self, labels: Labels, author: str) -> None:
        self.labels = labels
        self.author = author
        self.cameras = labels.base.cameras
        self.class_names = labels.base.class_names
        self.solve_errors: dict[int, str] = {}
        self._last_good: dict[int, ObjectBoxes] = {}
        self._tracks: tuple[Snapshot, TrackTable] | None = None
        self._base_tracks: tuple[BaseLabels, _Columns] | None = None

    @property
    def now(self) -> Snapshot:
        """The labels as they are."""
        return self.labels.now

    def tracks(self) -> TrackTable:
        """All objects."""
        if self._tracks is None or self._tracks[0] is not self.now:
            self._tracks = (self.now, self._list_tracks())
        return self._tracks[1]

    def boxes(self, object_id: int) -> ObjectBoxes:
        """All boxes of an object."""
        try:
            boxes = self.now.boxes(object_id)
        except (FleetLabelError, ArithmeticError, ValueError) as error:
            # The keyframe is saved; only what follows from it is not known.
            self.solve_errors[object_id] = str(error)
            if object_id in self._last_good:
                return self._last_good[object_id]
            none = Boxes3D.empty(self.class_names)
            return ObjectBoxes(none, {}, frozenset(), {})
        self.solve_errors.pop(object_id, None)
        self._last_good[object_id] = boxes
        return boxes

    def cuboids_at(self, start: int, stop: int) -> Boxes3D:
        """Cuboids of all objects in the frames ``start:stop``."""
        own = [self.boxes(item.object_id).cuboids for item in self.now.state]
        return self._exchanged(self.labels.base.frames3d(start, stop), own, start, stop)

    def pictures_at(self, camera: str, frame: int) -> Boxes2D:
        """2D boxes of all objects in one picture."""
        own = [self.boxes(item.object_id).pictures.get(camera) for item in self.now.state]
        base = self.labels.base.frames2d(camera, frame, frame + 1)
        return self._exchanged(base, [boxes for boxes in own if boxes is not None], frame, frame + 1)

    def _exchanged(self, base: B, own: Sequence[B], start: int, stop: int) -> B:
        objects = self.now.state.objects
        if not objects:
            return base
        kept = base.take(~np.isin(base.track_id, np.fromiter(objects, dtype=np.int64)))
        mine: list[B] = [
            boxes.take((boxes.frame >= start) & (boxes.frame < stop)) for boxes in own if len(boxes)
        ]
        return type(base).concatenate([kept] + mine)  # noqa: RUF005 - one type for both

    def _list_tracks(self) -> TrackTable:
        objects, base = self.now.state.objects, self.labels.base
        if self._base_tracks is None or self._base_tracks[0] is not base:
            self._base_tracks = (base, _base_tracks(base))
        ids, first, last, kind, solid = self._base_tracks[1]
        untouched = ~np.isin(ids, np.fromiter(objects, dtype=np.int64, count=len(objects)))
        rows = [
            (int(i), int(f), int(end), int(c), bool(s), False)
            for i, f, end, c, s in zip(
                *(column[untouched].tolist() for column in (ids, first, last, kind, solid)), strict=True
            )
        ]
        for item in self.now.state:
            boxes = self.boxes(item.object_id)
            frames = np.concatenate([boxes.cuboids.frame, *(b.frame for b in boxes.pictures.values())])
            if len(frames):
                class_id = self.class_names.index(self.now.state.class_of(item))
                spread = (int(frames.min()), int(frames.max()))
                rows.append((item.object_id, *spread, class_id, len(boxes.cuboids) > 0, True))
        rows.sort()
        columns = np.array(rows, dtype=np.int64).reshape(-1, 6).T
        return TrackTable(
            object_id=columns[0],
            first=columns[1].astype(np.int32),
            last=columns[2].astype(np.int32),
            class_id=columns[3].astype(np.int32),
            class_names=self.class_names,
            solid=columns[4].astype(np.bool_),
            touched=columns[5].astype(np.bool_),
        )

    def recent_authors(self) -> set[str]:
        """Who saved something in the last minutes."""
        since, names = time.time_ns() - _PRESENT_NS, set()
        for record in reversed(self.labels.history.records):
            if record.at_ns < since:
                break
            names.add(record.author)
        return names


_Columns = tuple[I64, I64, I64, I64, Bool]


def _base_tracks(base: BaseLabels) -> _Columns:
    """Ids, first and last frames, classes and whether there are cuboids, of the base version's tracks."""
    ids = base.track_ids
    first, last = np.full(len(ids), base.n_frames, dtype=np.int64), np.full(len(ids), -1, dtype=np.int64)
    kind, solid = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.bool_)
    for camera in (*reversed(base.cameras), ""):  # cuboids last: their class counts
        index = base.index(camera)
        rows = np.searchsorted(ids, index.track_id)
        first[rows] = np.minimum(first[rows], index.first)
        last[rows] = np.maximum(last[rows], index.last)
        kind[rows] = index.class_id
        if not camera:
            solid[rows] = True
    return ids, first, last, kind, solid
