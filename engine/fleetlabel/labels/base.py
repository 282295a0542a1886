"""The label version that people began with: which tracks it has, and their boxes and detections as they are asked for.

Opening it reads one column per table; boxes are read for the frames of one track at a time, so that a version of
millions of boxes opens and edits as a small one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from fleetlabel.geometry.arrays import I32, I64, AnyArray, Bool
from fleetlabel.labels.objects import Segment
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import UsageError
from fleetlabel.model.ontology import CLASSES
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus, SequenceStore, Table
from fleetlabel.store.boxes import B, boxes_of
from fleetlabel.store.runs import open_run

_TRACKS_KEPT = 4096
# Frames are read in blocks that are kept for a while: people go back and forth in one place.
_BLOCK_FRAMES, _BLOCKS_KEPT, _MOST_BLOCKS = 64, 48, 16
# Rows that were filled in, not seen.
_FILLED_IN: AnyArray = np.array([Source.TRACKER, Source.INTERPOLATED, Source.SMOOTHED], dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class TrackIndex:
    """Tracks of one table of boxes.

    Attributes:
        track_id: (T,) int64 ascending; boxes without a track are left out.
        first, last: (T,) int64 frames of its first and last box.
        class_id: (T,) int16 class of its last box.
    """

    track_id: I64
    first: I64
    last: I64
    class_id: AnyArray

    def find(self, track_id: int) -> int | None:
        """Row of a track, None if there is no such track."""
        row = int(np.searchsorted(self.track_id, track_id))
        return row if row < len(self.track_id) and self.track_id[row] == track_id else None


class BaseLabels:
    """A label version as the beginning of people's work; see :class:`fleetlabel.labels.state.Base`.

    Attributes:
        store: that it is in.
        name: of the version.
        class_names: of the version, and after them the rest of FleetLabel's.
    """

    def __init__(self, store: SequenceStore, name: str) -> None:
        self.store = store
        self.version = store.labels(name)
        if self.version.base is not None:
            raise UsageError(
                f"labels {name!r} are people's edits of {self.version.base!r}; edit those, their edits are in the "
                "journal"
            )
        self.name = name
        self.cameras: tuple[str, ...] = tuple(s.name for s in store.info.of_kind(SensorKind.CAMERA))
        self.class_names: tuple[str, ...] = tuple(dict.fromkeys((*self.version.class_names, *CLASSES)))
        self._indices: dict[str, TrackIndex] = {}
        tables = {"": "boxes3d"} if self.version.has_boxes3d else {}
        tables |= {camera: f"boxes2d/{camera}" for camera in self.version.cameras}
        self._tables = {camera: store.table(f"labels/{name}/{path}") for camera, path in tables.items()}
        self.boxes3d = lru_cache(_TRACKS_KEPT)(self._track3d)
        self.boxes2d = lru_cache(_TRACKS_KEPT)(self._track2d)
        self._block3d = lru_cache(_BLOCKS_KEPT)(
            partial(_read_block, store, self._tables, Boxes3D, self.class_names)
        )
        self._block2d = lru_cache(_BLOCKS_KEPT)(
            partial(_read_block, store, self._tables, Boxes2D, self.class_names)
        )

    @property
    def n_frames(self) -> int:
        """Number of frames of the sequence."""
        return self.store.info.n_frames

    # --- tracks -----------------------------------------------------------------------------------------------------

    def index(self, camera: str) -> TrackIndex:
        """Tracks in one camera's pictures, or of cuboids (camera "")."""
        if camera not in self._indices:
            table = self._tables.get(camera)
            self._indices[camera] = _index_of(table) if table else _build_index(*[np.zeros(0, np.int64)] * 3)
        return self._indices[camera]

    @cached_property
    def track_ids(self) -> I64:
        """Ids of all tracks, ascending."""
        ids = [self.index(camera).track_id for camera in self._tables]
        return np.unique(np.concatenate(ids)) if ids else np.zeros(0, dtype=np.int64)

    def cameras_of(self, track_id: int) -> tuple[str, ...]:
        """Cameras in whose pictures a track has boxes, "" if it has cuboids; none if there is no such track."""
        return tuple(camera for camera in self._tables if self.index(camera).find(track_id) is not None)

    def class_of(self, track_id: int) -> str:
        """Class of a track: of its cuboids, if it has any."""
        index = self.index(self.cameras_of(track_id)[0])
        row = index.find(track_id)
        return self.version.class_names[int(index.class_id[row])]

    def evidence_frames(self, segment: Segment) -> I32:
        """Frames, ascending, at which a piece of a track was seen, not just filled in."""
        boxes = self.boxes_of(segment)
        return boxes.frame[is_evidence(boxes)]

    # --- boxes ------------------------------------------------------------------------------------------------------

    def boxes_of(self, segment: Segment) -> Boxes2D | Boxes3D:
        """Boxes of a piece of a track."""
        track, camera = segment.track_id, segment.camera
        boxes = self.boxes2d(camera, track) if camera else self.boxes3d(track)
        low, high = np.searchsorted(boxes.frame, (segment.start, segment.stop))
        return boxes if high - low == len(boxes) else boxes.take(slice(int(low), int(high)))

    def frames3d(self, start: int, stop: int, once: bool = False) -> Boxes3D:
        """Cuboids of all tracks in the frames ``start:stop``; ``once``: they are not kept for the next reader."""
        if start < stop and (once or stop - start > _MOST_BLOCKS * _BLOCK_FRAMES):
            return self.store.labels3d(self.name, start, stop).with_class_names(self.class_names)
        blocks = [self._block3d("", number) for number in _blocks(start, stop)]
        return _between(blocks, Boxes3D.empty(self.class_names), start, stop)

    def frames2d(self, camera: str, start: int, stop: int, once: bool = False) -> Boxes2D:
        """2D boxes of all tracks in one camera's pictures of the frames ``start:stop``; see :meth:`frames3d`."""
        if start < stop and (once or stop - start > _MOST_BLOCKS * _BLOCK_FRAMES):
            return self.store.labels2d(self.name, camera, start, stop).with_class_names(self.class_names)
        blocks = [self._block2d(camera, number) for number in _blocks(start, stop)]
        return _between(blocks, Boxes2D.empty(self.class_names), start, stop)

    def _track3d(self, track_id: int) -> Boxes3D:
        row = self.index("").find(track_id)
        if row is None:
            return Boxes3D.empty(self.class_names)
        boxes = self.frames3d(int(self.index("").first[row]), int(self.index("").last[row]) + 1)
        return boxes.take(boxes.track_id == track_id)

    def _track2d(self, camera: str, track_id: int) -> Boxes2D:
        row = self.index(camera).find(track_id)
        if row is None:
            return Boxes2D.empty(self.class_names)
        boxes = self.frames2d(
            camera, int(self.index(camera).first[row]), int(self.index(camera).last[row]) + 1
        )
        return boxes.take(boxes.track_id == track_id)

    # --- detections -------------------------------------------------------------------------------------------------

    def detections3d(self, boxes: Boxes3D) -> Boxes3D:
        """What cuboids of this version were made from: rows of the lift stage, or themselves if no run made them."""
        stage = self._stage("lift", "all")
        return boxes.take(is_evidence(boxes)) if stage is None else _detected(stage, boxes, Boxes3D)

    def detections2d(self, camera: str, boxes: Boxes2D) -> Boxes2D:
        """What boxes of this version were made from: rows of the detect stage, or themselves if no run made them."""
        stage = self._stage("detect", camera)
        return boxes.take(is_evidence(boxes)) if stage is None else _detected(stage, boxes, Boxes2D)

    def detected(self, camera: str, boxes: Boxes2D | Boxes3D) -> Bool:
        """(N,) which boxes of this version a detection is given for, by the two methods above."""
        stage = self._stage("detect", camera) if camera else self._stage("lift", "all")
        return is_evidence(boxes) if stage is None else np.asarray(boxes.detection >= 0)

    def _stage(self, stage: str, sensor: str) -> Table | None:
        run_id = self.version.provenance.get("runs", {}).get(stage)
        if run_id is None:
            return None
        path = open_run(self.store, stage, run_id).table_path(sensor)
        return self.store.table(path) if self.store.has_table(path) else None

    # --- times ------------------------------------------------------------------------------------------------------

    def times(self, camera: str) -> I64:
        """(F,) time of every frame for cuboids (camera ""), or of its picture."""
        return self._exposures(camera)[0] if camera else self.store.info.frame_timestamp_ns

    def seen_frames(self, camera: str) -> I32:
        """Frames, ascending, at which there can be boxes: a camera has none where it took no picture."""
        return self._exposures(camera)[1] if camera else np.arange(self.n_frames, dtype=np.int32)

    @lru_cache(64)  # noqa: B019 - as long as the version is open
    def _exposures(self, camera: str) -> tuple[I64, I32]:
        path = f"sensors/{camera}"
        every = np.arange(self.n_frames, dtype=np.int32)
        if not self.store.has_table(path) or not self.store.table(path).is_complete():
            return self.store.info.frame_timestamp_ns, every
        sensor = self.store.table(path).read(columns=("timestamp_ns", "status")).samples
        seen = sensor["status"] != SampleStatus.MISSING
        return sensor["timestamp_ns"], every[seen] if seen.any() else every


def is_evidence(boxes: Boxes2D | Boxes3D) -> Bool:
    """(N,) which boxes were seen, not just filled in between others."""
    evidence: Bool = (boxes.detection >= 0) | ~np.isin(boxes.source, _FILLED_IN)
    return evidence


def _index_of(table: Table) -> TrackIndex:
    part = table.read(columns=("track_id", "class_id"))
    frame = np.repeat(np.arange(len(part)), part.counts)
    return _build_index(part.flat["track_id"], frame, part.flat["class_id"])


def _build_index(track_id: I64, frame: I64, class_id: AnyArray) -> TrackIndex:
    """Of rows sorted by frame: a later row overwrites an earlier one, so no sorting is needed where ids are dense."""
    known = track_id >= 0
    if not known.all():
        track_id, frame, class_id = track_id[known], frame[known], class_id[known]
    top = int(track_id.max(initial=-1)) + 1
    ids: I64 = np.arange(top)
    place = track_id
    if top > 4 * len(track_id) + 1000:
        ids, place = np.unique(track_id, return_inverse=True)
    first, last = np.full(len(ids), -1, dtype=np.int64), np.full(len(ids), -1, dtype=np.int64)
    kind = np.zeros(len(ids), dtype=np.int16)
    last[place], kind[place] = frame, class_id
    first[place[::-1]] = frame[::-1]
    there = last >= 0
    return TrackIndex(ids[there], first[there], last[there], kind[there])


def _blocks(start: int, stop: int) -> range:
    return range(start // _BLOCK_FRAMES, -(-stop // _BLOCK_FRAMES))


def _read_block(
    store: SequenceStore,
    tables: Mapping[str, Table],
    kind: type[B],
    class_names: tuple[str, ...],
    camera: str,
    number: int,
) -> B:
    if camera not in tables:
        return kind.empty(class_names)
    start = number * _BLOCK_FRAMES
    part = tables[camera].read(start, min(start + _BLOCK_FRAMES, store.info.n_frames))
    return boxes_of(part, kind, class_names, start)


def _between(blocks: list[B], none: B, start: int, stop: int) -> B:
    if not blocks:
        return none
    boxes = blocks[0] if len(blocks) == 1 else type(none).concatenate(blocks)
    low, high = np.searchsorted(boxes.frame, (start, stop))
    return boxes if high - low == len(boxes) else boxes.take(slice(int(low), int(high)))


def _detected(stage: Table, boxes: B, kind: type[B]) -> B:
    found = boxes.take(boxes.detection >= 0)
    names = tuple(stage.attributes["class_names"])
    if not len(found):
        return kind.empty(names)
    start, stop = int(found.frame[0]), int(found.frame[-1]) + 1
    part = stage.read(start, stop)
    rows = part.offsets[found.frame - start] + found.detection
    return boxes_of(part, kind, names, start).take(rows)
