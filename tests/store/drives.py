"""Small made-up drives for the store's tests, and what worker processes do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceInfo, SequenceStore

CAMERA = PinholeCamera(100, 80, 50.0, 50.0, 50.0, 40.0)
NAMES = ("car", "pedestrian")


def drive(
    n_frames: int = 12,
    cameras: Sequence[str] = ("front", "left"),
    lidars: Sequence[str] = ("top",),
    **changes: Any,
) -> SequenceInfo:
    """A drive that turns slowly; ``changes`` replace fields."""
    times = 1_557_539_924_000_000_000 + np.arange(n_frames, dtype=np.int64) * 100_000_000
    steps = np.arange(n_frames, dtype=np.float64)
    poses = np.concatenate([np.outer(steps, [1.0, 0.1, 0.0]), quaternion.from_yaw(0.01 * steps)], axis=1)
    fields: dict[str, Any] = {
        "name": "drive",
        "sensors": (
            *(Sensor(name, SensorKind.CAMERA, np.eye(4), CAMERA) for name in cameras),
            *(Sensor(name, SensorKind.LIDAR, np.eye(4)) for name in lidars),
        ),
        "frame_timestamp_ns": times,
        "trajectory": Trajectory(times, poses),
        "source": {"format": "made up"},
    }
    return SequenceInfo(**(fields | changes))


def pictures(n_frames: int = 12, seed: int = 0, mean_bytes: int = 300) -> Part:
    """Samples of a camera; every fifth is missing."""
    rng = np.random.default_rng(seed)
    status = np.where(np.arange(n_frames) % 5 == 4, SampleStatus.MISSING, SampleStatus.OK).astype(np.uint8)
    counts = np.where(status == SampleStatus.OK, rng.integers(1, 2 * mean_bytes, n_frames), 0)
    return Part(
        samples={"timestamp_ns": np.arange(n_frames, dtype=np.int64) * 100_000_000 + seed, "status": status},
        counts=counts.astype(np.int64),
        flat={"jpeg": rng.integers(0, 256, counts.sum()).astype(np.uint8)},
    )


def sweeps(n_frames: int = 12, seed: int = 0, mean_points: int = 40) -> Part:
    """Samples of a lidar."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 2 * mean_points, n_frames)
    return Part(
        samples={
            "timestamp_ns": np.arange(n_frames, dtype=np.int64) * 100_000_000,
            "status": np.zeros(n_frames, np.uint8),
        },
        counts=counts,
        flat={
            "points": rng.normal(size=(counts.sum(), 4)).astype(np.float32),
            "point_time_offset_ns": rng.integers(-50_000_000, 50_000_000, counts.sum()).astype(np.int32),
        },
    )


def boxes2d(n: int = 30, seed: int = 0, n_frames: int = 12, names: tuple[str, ...] = NAMES) -> Boxes2D:
    """Random boxes in pictures."""
    rng = np.random.default_rng(seed)
    return Boxes2D(
        class_names=names,
        frame=np.sort(rng.integers(0, n_frames, n)),
        timestamp_ns=rng.integers(0, 2**60, n),
        class_id=rng.integers(0, len(names), n),
        track_id=rng.integers(-1, 9, n),
        truncation=rng.choice([np.nan, 0, 0.5], n),
        xyxy_px=rng.normal(size=(n, 4)),
    )


def boxes3d(n: int = 30, seed: int = 0, n_frames: int = 12, names: tuple[str, ...] = NAMES) -> Boxes3D:
    """Random cuboids."""
    rng = np.random.default_rng(seed)
    return Boxes3D(
        class_names=names,
        frame=np.sort(rng.integers(0, n_frames, n)),
        timestamp_ns=rng.integers(0, 2**60, n),
        class_id=rng.integers(0, len(names), n),
        center_m=rng.normal(size=(n, 3)),
        size_lwh_m=rng.uniform(1, 4, size=(n, 3)),
        q_wxyz=quaternion.normalize(rng.normal(size=(n, 4))),
    )


def assert_same_columns(found: Mapping[str, AnyArray], expected: Mapping[str, AnyArray]) -> None:
    """Same names, dtypes, shapes and values, bit for bit (NaN equals NaN)."""
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert found[name].dtype == column.dtype, name
        np.testing.assert_array_equal(found[name], column, err_msg=name)


def assert_same_part(found: Part, expected: Part) -> None:
    """Same samples, counts and flat rows."""
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert_same_columns(found.samples, expected.samples)
    assert_same_columns(found.flat, expected.flat)


def leftovers(root: Path) -> list[str]:
    """Scratch of writers anywhere below a folder."""
    return [path.name for path in root.rglob(".pending-*")]


# --- what worker processes do ---------------------------------------------------------------------------------------


def write_missing(root: Path, path: str, whole: Part, chunk: int, told: Connection) -> None:
    """Writes what a table lacks, part by part, and tells each range once ``write`` has returned."""
    table = SequenceStore.open(root).table(path)
    told.send("ready")
    for low, high in table.missing():
        for start in range(low, high, chunk):
            stop = min(start + chunk, high)
            table.write(start, whole.take(start, stop))
            told.send((start, stop))


def write_range(
    root: Path, path: str, whole: Part, start: int, stop: int, ready: Any, told: Connection
) -> None:
    """Writes one part as soon as all writers are ready; tells None, or the error's message."""
    table = SequenceStore.open(root).table(path)
    ready.wait()
    try:
        table.write(start, whole.take(start, stop))
        told.send(None)
    except Exception as error:
        told.send(f"{type(error).__name__}: {error}")


def hold_lock(root: Path, told: Connection) -> None:
    """Holds the writer's lock until it is killed or told to let go."""
    with SequenceStore.open(root).writer_lock():
        told.send("held")
        told.recv()
    told.send("released")


def try_lock(root: Path, told: Connection) -> None:
    """Tells None if it gets the writer's lock, else the error's message."""
    try:
        with SequenceStore.open(root).writer_lock():
            told.send(None)
    except Exception as error:
        told.send(f"{type(error).__name__}: {error}")
