"""Labels to be written: one label version of a drive, read in blocks of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import I64
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.motion import LONGEST_STEP_NS, moved_to
from fleetlabel.model.projection import Projected, project_at
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceInfo, SequenceStore

# Boxes per block that reading aims at, and frames in the first one.
_AIM, _FIRST_FRAMES = 20_000, 32
# Boxes per block of whole tracks.
_TRACKS_AIM = 250_000
# Cuboids; each takes some 10 kB while its edges are followed through the lens.
_PROJECTED_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What labels hang on.

    Attributes:
        info: sensors, frames and ego poses.
        exposure_ns: camera -> (F,) time of every frame's picture; the frame's own where there is none.
    """

    info: SequenceInfo
    exposure_ns: Mapping[str, I64]

    @classmethod
    def of(cls, store: SequenceStore) -> Drive:
        """The drive of a store."""
        cameras = store.info.of_kind(SensorKind.CAMERA)
        return cls(store.info, {sensor.name: store.camera(sensor.name).timestamp_ns for sensor in cameras})

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(self.exposure_ns)

    @property
    def file_name(self) -> str:
        """Name of the sequence for files: four digits if it is a number, as in KITTI; no blanks, no folders."""
        name = self.info.name
        return name.zfill(4) if name.isdigit() else "_".join(name.replace("/", " ").split()).lstrip(".")

    def size_px(self, camera: str) -> tuple[int, int]:
        """Width and height of a camera's pictures."""
        model = self.info.sensor(camera).camera
        assert model is not None
        return model.width_px, model.height_px


class Labels(ABC):
    """A set of labels; ranges of frames are read on demand.

    Attributes:
        drive: what they are labels of.
        class_names: what ``class_id`` counts.
        labelled_cameras: cameras that have boxes in pictures.
    """

    drive: Drive
    class_names: tuple[str, ...]
    labelled_cameras: tuple[str, ...]

    @abstractmethod
    def pictures(self, camera: str, start: int, stop: int) -> Boxes2D:
        """Boxes in one camera's pictures of the frames ``start:stop``; none in other than labelled cameras."""

    @abstractmethod
    def cuboids(self, start: int, stop: int) -> Boxes3D:
        """Cuboids of the frames ``start:stop``."""

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.drive.info.n_frames

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras in whose pictures labels can be shown: labelled ones, or all if there are cuboids only."""
        return self.labelled_cameras or self.drive.cameras

    @cached_property
    def scored(self) -> bool:
        """Whether scores mean something: a machine made some of the labels, or they differ."""

        def says(boxes: Boxes) -> bool:
            return bool(np.isin(boxes.source, _MACHINE).any() or (boxes.score != 1).any())

        return any(
            says(cuboids) or any(says(boxes) for boxes in pictures.values())
            for _, cuboids, pictures in self.blocks()
        )

    def shown(self, camera: str, start: int, stop: int) -> Boxes2D:
        """Boxes in one camera's pictures; those around what it sees of cuboids if no camera is labelled."""
        if self.labelled_cameras:
            return self.pictures(camera, start, stop)
        cuboids = self.cuboids_at(self.drive.exposure_ns[camera], start, stop)
        seen = self.seen(camera, cuboids)
        columns = {name: value[seen.visible] for name, value in cuboids.columns().items() if name in _IN_BOTH}
        columns |= {"xyxy_px": seen.xyxy_px[seen.visible]}
        columns |= {"truncation": seen.outside[seen.visible].astype(np.float32)}
        return Boxes2D.from_columns(cuboids.class_names, columns)

    def seen(self, camera: str, cuboids: Boxes3D) -> Projected:
        """What a camera sees of cuboids that are where they were at its exposure."""
        info, parts = self.drive.info, []
        for start in range(0, max(1, len(cuboids)), _PROJECTED_AT_ONCE):
            some = cuboids.take(slice(start, start + _PROJECTED_AT_ONCE))
            parts.append(project_at(info.sensor(camera), info.trajectory, some, some.timestamp_ns))
        return Projected(
            np.concatenate([part.xyxy_px for part in parts]),
            np.concatenate([part.outside for part in parts]),
            np.concatenate([part.visible for part in parts]),
        )

    def cuboids_at(self, time_ns: I64, start: int, stop: int) -> Boxes3D:
        """Cuboids of the frames ``start:stop`` at other times than their own, each moved along its track.

        Args:
            time_ns: (F,) by frame.
        """
        cuboids = self.around(start, stop)
        center, q_wxyz = moved_to(cuboids, time_ns[cuboids.frame])
        moved = cuboids.replace(center_m=center, q_wxyz=q_wxyz, timestamp_ns=time_ns[cuboids.frame])
        return moved.take(_within(cuboids, start, stop))

    def picture_blocks(self, camera: str) -> Iterator[Boxes2D]:
        """All boxes shown in one camera's pictures, in blocks of whole frames, ascending."""
        return (
            boxes for (boxes,) in self.read_blocks(lambda start, stop: (self.shown(camera, start, stop),))
        )

    def picture_tracks(self, camera: str) -> Iterator[Boxes2D]:
        """All boxes shown in one camera's pictures, in blocks of whole tracks; last those without identity.

        A block is sorted by frame, like all boxes. Labels are read once to count, and once more per block of tracks.
        """
        counts: Counter[int] = Counter()
        for boxes in self.picture_blocks(camera):
            for track, count in zip(*np.unique(boxes.track_id, return_counts=True), strict=True):
                counts[int(track)] += int(count)
        tracks = sorted(track for track in counts if track >= 0)
        total = np.cumsum([counts[track] for track in tracks])
        for group in np.split(
            np.array(tracks, dtype=np.int64), np.flatnonzero(np.diff(total // _TRACKS_AIM)) + 1
        ):
            if len(group):
                mine = [b.take(np.isin(b.track_id, group)) for b in self.picture_blocks(camera)]
                yield Boxes2D.concatenate(mine)
        if any(track < 0 for track in counts):
            yield from (boxes.take(boxes.track_id < 0) for boxes in self.picture_blocks(camera))

    def cuboid_blocks(self, time_ns: I64 | None = None) -> Iterator[Boxes3D]:
        """All cuboids, in blocks of whole frames, ascending; at times by frame (F,) if they are given."""
        if time_ns is None:
            return (boxes for (boxes,) in self.read_blocks(lambda start, stop: (self.cuboids(start, stop),)))
        return (
            boxes
            for (boxes,) in self.read_blocks(lambda start, stop: (self.cuboids_at(time_ns, start, stop),))
        )

    def blocks(self) -> Iterator[tuple[range, Boxes3D, dict[str, Boxes2D]]]:
        """Frames, their cuboids and their boxes in labelled cameras' pictures, ascending, until all are there."""
        cameras = self.labelled_cameras
        for frames, cuboids, *pictures in self.read_blocks(
            lambda start, stop: (
                range(start, stop),
                self.cuboids(start, stop),
                *(self.pictures(camera, start, stop) for camera in cameras),
            )
        ):
            yield frames, cuboids, dict(zip(cameras, pictures, strict=True))

    def read_blocks(
        self, read: Callable[[int, int], tuple[Any, ...]], start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """What ``read`` gives for ranges of the frames ``start:stop``, short enough for some ten thousand rows each."""
        end, frames = self.n_frames if stop is None else stop, _FIRST_FRAMES
        while start < end:
            after = min(start + frames, end)
            found = read(start, after)
            yield found
            rows = sum(len(rows) for rows in found)
            frames = max(1, frames // 2) if rows > 2 * _AIM else frames * 2 if rows < _AIM else frames
            start = after

    def around(self, start: int, stop: int) -> Boxes3D:
        """Cuboids of some frames and of as many before and after as tell how objects move."""
        times = self.drive.info.frame_timestamp_ns
        first, last = times[start] - 2 * LONGEST_STEP_NS, times[stop - 1] + 2 * LONGEST_STEP_NS
        low, high = np.searchsorted(times, [first, last])
        return self.cuboids(min(int(low), start), max(int(high), stop))


class StoredLabels(Labels):
    """A label version of a store."""

    def __init__(self, store: SequenceStore, version: str) -> None:
        described = store.labels(version)
        self.version = version
        self.class_names = described.class_names
        self.labelled_cameras = described.cameras
        self._store = store

    @cached_property
    def drive(self) -> Drive:  # type: ignore[override]
        """See the base class."""
        return Drive.of(self._store)

    def pictures(self, camera: str, start: int, stop: int) -> Boxes2D:
        """See the base class."""
        return self._store.labels2d(self.version, camera, start, stop)

    def cuboids(self, start: int, stop: int) -> Boxes3D:
        """See the base class."""
        return self._store.labels3d(self.version, start, stop)


_MACHINE = (Source.DETECTOR, Source.TRACKER, Source.INTERPOLATED, Source.SMOOTHED)
_IN_BOTH = frozenset(Boxes2D.column_names()) & frozenset(Boxes3D.column_names()) - {"detection"}


def is_keyframe(boxes: Boxes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which boxes (N,) people set themselves."""
    keyframe: np.ndarray[tuple[int], np.dtype[np.bool_]] = boxes.source == Source.HUMAN
    return keyframe


def _within(boxes: Boxes, start: int, stop: int) -> slice:
    low, high = np.searchsorted(boxes.frame, [start, stop])
    return slice(int(low), int(high))
