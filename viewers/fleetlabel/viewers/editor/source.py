"""Where the app gets a sequence from and sends edits to: a store on this machine, or an engine elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fleetlabel.geometry.arrays import I32, I64, Bool
from fleetlabel.labels import Commit, Edit, Item, Labels, Leases, ObjectBoxes, Queue, Snapshot, next_items
from fleetlabel.labels.base import BaseLabels
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.store import SequenceInfo, SequenceStore
from fleetlabel.store.boxes import B
from fleetlabel.viewers.sensors import SensorFrames

# Somebody who edited so recently is said to be present.
_PRESENT_NS = 300_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class TrackTable:
    """Every object of the sequence, one row each.

    Attributes:
        object_id: (T,) ascending.
        first, last: (T,) frames of its first and last box in any view.
        class_id: (T,) row of ``class_names`` where it begins.
        class_names: what ``class_id`` counts.
        solid: (T,) bool it has cuboids.
        touched: (T,) bool people said something about it.
    """

    object_id: I64
    first: I32
    last: I32
    class_id: I32
    class_names: tuple[str, ...]
    solid: Bool
    touched: Bool

    def row(self, object_id: int) -> int | None:
        """Row of an object, None if there is none."""
        row = int(np.searchsorted(self.object_id, object_id))
        return row if row < len(self.object_id) and self.object_id[row] == object_id else None


class Source(Protocol):
    """One sequence to look at and edit. Everything but :meth:`build_queue` is called on one thread."""

    info: SequenceInfo
    sensors: SensorFrames
    author: str
    cameras: tuple[str, ...]
    class_names: tuple[str, ...]

    @property
    def now(self) -> Snapshot:
        """The labels as they are, edits that nobody else has acknowledged included."""

    def tracks(self) -> TrackTable:
        """All objects."""

    def boxes(self, object_id: int) -> ObjectBoxes:
        """All boxes of an object; where solving it fails, those before, with ``solve_errors`` saying why."""

    def cuboids_at(self, start: int, stop: int) -> Boxes3D:
        """Cuboids of all objects in the frames ``start:stop``."""

    def pictures_at(self, camera: str, frame: int) -> Boxes2D:
        """2D boxes of all objects in one picture."""

    def new_id(self) -> int:
        """An id for an object that an edit makes."""

    def commit(self, edits: Sequence[Edit], *, active_ms: int, request_id: str) -> Commit:
        """Saves edits; when it returns a record, that is safe from crashes of everything but the disk."""

    def undo(self) -> Commit | None:
        """Takes back the author's last edits; None if there are none."""

    def redo(self) -> Commit | None:
        """Does again what undo took back; None if there is nothing."""

    def refresh(self) -> frozenset[int]:
        """Takes up what others have saved; ids of the objects that changed."""

    def build_queue(self) -> None:
        """Ranks everything, on whichever thread: takes seconds."""

    def next_item(self) -> Item | None:
        """Where a look is worth most, leased to the author; None if there is no more, or not ranked yet."""

    def others(self) -> tuple[str, ...]:
        """Who else is at work here."""

    @property
    def queue_ready(self) -> bool:
        """Whether everything is ranked."""

    @property
    def solve_errors(self) -> dict[int, str]:
        """Objects that could not be solved, and why."""


class LocalSource:
    """A store on this machine; see :class:`Source`."""

    def __init__(self, store: SequenceStore, author: str, base: str | None = None) -> None:
        self.store = store
        self.author = author
        self.info = store.info
        self.sensors = SensorFrames(store)
        self.labels = Labels.open(store, base)
        self.cameras = self.labels.base.cameras
        self.class_names = self.labels.base.class_names
        self.solve_errors: dict[int, str] = {}
        self._last_good: dict[int, ObjectBoxes] = {}
        self._queue: Queue | None = None
        self._leases = Leases(store)
        self._tracks: tuple[Snapshot, TrackTable] | None = None
        self._base_tracks: tuple[BaseLabels, _Columns] | None = None

    @property
    def now(self) -> Snapshot:
        """The labels as they are."""
        return self.labels.now

    # --- reading ----------------------------------------------------------------------------------------------------

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

    # --- editing ----------------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        """An id for an object that an edit makes."""
        return self.labels.new_id()

    def commit(self, edits: Sequence[Edit], *, active_ms: int, request_id: str) -> Commit:
        """Saves edits to the store's journal, which is on the disk when this returns."""
        return self.labels.commit(edits, author=self.author, active_ms=active_ms, request_id=request_id)

    def undo(self) -> Commit | None:
        """Takes back the author's last edits; None if there are none."""
        return self.labels.undo(self.author)

    def redo(self) -> Commit | None:
        """Does again what undo took back; None if there is nothing."""
        return self.labels.redo(self.author)

    def refresh(self) -> frozenset[int]:
        """Takes up what others have saved; ids of the objects that changed."""
        return frozenset(object_id for record in self.labels.refresh() for object_id in record.objects)

    # --- working together -------------------------------------------------------------------------------------------

    def build_queue(self) -> None:
        """Ranks everything."""
        queue = Queue(self.labels)
        queue.items(1)
        self._queue = queue

    def next_item(self) -> Item | None:
        """Where a look is worth most, leased to the author."""
        if self._queue is None:
            return None
        found = next_items([self._queue], self.author, 1)
        return found[0] if found else None

    @property
    def queue_ready(self) -> bool:
        """Whether everything is ranked."""
        return self._queue is not None

    def others(self) -> tuple[str, ...]:
        """Who else is at work here: holds a lease, or saved something in the last minutes."""
        since = time.time_ns() - _PRESENT_NS
        names = {lease.person for lease in self._leases.held()}
        for record in reversed(self.labels.history.records):
            if record.at_ns < since:
                break
            names.add(record.author)
        return tuple(sorted(names - {self.author}))


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
