"""A small drive with cars whose labels people edit: cuboids, and their boxes in two cameras."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.labels import Labels
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.projection import project_at
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import SequenceInfo, SequenceStore

FRAMES, TRACKS = 20, 5
NAMES = ("car", "pedestrian")
CAMERAS = ("front", "rear")
BASE = "auto"
PINHOLE = PinholeCamera(1000, 600, 500.0, 500.0, 500.0, 300.0)
# Camera axes (x right, y down, z forward) in the ego frame, looking ahead and back.
AHEAD = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], dtype=np.float64)
BACK = np.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], dtype=np.float64)


def sequence(n_frames: int = FRAMES) -> SequenceInfo:
    """A vehicle that stands, with a camera ahead and one back."""
    times = 1_600_000_000_000_000_000 + np.arange(n_frames, dtype=np.int64) * 100_000_000
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (n_frames, 1))
    sensors = tuple(
        Sensor(name, SensorKind.CAMERA, place, PINHOLE)
        for name, place in zip(CAMERAS, (AHEAD, BACK), strict=True)
    )
    return SequenceInfo("drive", sensors, times, Trajectory(times, poses), source={"format": "made up"})


def cuboids(n_frames: int = FRAMES, n_tracks: int = TRACKS, seed: int = 0) -> Boxes3D:
    """Cars that drive ahead in lanes of their own; the last track is a pedestrian.

    Track 2 is missing from frame 8 on, and track 3 up to frame 11: they could be one.
    """
    rng = np.random.default_rng(seed)
    frame, track = (a.ravel() for a in np.meshgrid(np.arange(n_frames), np.arange(n_tracks), indexing="ij"))
    there = ~(((track == 1) & (frame >= 8)) | ((track == 2) & (frame < 12)))
    frame, track = frame[there], track[there]
    n = len(frame)
    center = np.stack([10.0 + track + 0.5 * frame, 4.0 * track - 8.0, np.full(n, 0.8)], axis=1)
    return Boxes3D(
        class_names=NAMES,
        frame=frame,
        timestamp_ns=sequence(n_frames).frame_timestamp_ns[frame],
        class_id=(track == n_tracks - 1).astype(np.int16),
        score=rng.uniform(0.3, 0.9, n).astype(np.float32),
        track_id=track + 1,
        source=np.full(n, Source.DETECTOR),
        detection=rng.permutation(n).astype(np.int32),
        center_m=center + rng.normal(scale=0.05, size=center.shape),
        size_lwh_m=np.tile([4.0, 1.8, 1.6], (n, 1)),
        q_wxyz=quaternion.from_yaw(rng.normal(scale=0.02, size=n)),
        n_points=rng.integers(5, 50, n),
    )


def pictures(solid: Boxes3D) -> dict[str, Boxes2D]:
    """What the cameras see of cuboids."""
    info, seen = sequence(int(solid.frame.max()) + 1), {}
    for camera in CAMERAS:
        projected = project_at(info.sensor(camera), info.trajectory, solid, solid.timestamp_ns)
        rows = np.flatnonzero(projected.visible)
        seen[camera] = Boxes2D(
            class_names=NAMES,
            frame=solid.frame[rows],
            timestamp_ns=solid.timestamp_ns[rows],
            class_id=solid.class_id[rows],
            score=solid.score[rows],
            track_id=solid.track_id[rows],
            source=np.full(len(rows), Source.DETECTOR),
            detection=np.arange(len(rows)),
            xyxy_px=projected.xyxy_px[rows],
        )
    return seen


def make_store(root: Path, n_frames: int = FRAMES, n_tracks: int = TRACKS, seed: int = 0) -> SequenceStore:
    """A store with the label version :data:`BASE`."""
    store = SequenceStore.create(root, sequence(n_frames))
    solid = cuboids(n_frames, n_tracks, seed)
    store.write_labels(BASE, pictures(solid), solid, class_names=NAMES, provenance={"made": "up"})
    return store


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    make_store(Path(folder.name) / "drive.zarr")
    return folder


def copied_store(root: Path) -> SequenceStore:
    """What :func:`make_store` makes, made once for all tests."""
    shutil.copytree(Path(_template().name) / "drive.zarr", root)
    return SequenceStore.open(root)


def open_labels(root: Path) -> Labels:
    """Labels of a store, as a process that begins now sees them."""
    return Labels.open(SequenceStore.open(root))
