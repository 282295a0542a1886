"""Small fleets of labelled drives at chosen places, made without a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from exchange.scenes import CAMERAS, CLASSES, FRAME_NS, HEIGHT, WIDTH, LabelsInMemory, random_labels
from exchange.scenes import drive as made_up
from fleetlabel.engine.exchange import Drive
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.store import Part, SampleStatus, SequenceStore

UTM = {"utm_zone": "32N"}
N_FRAMES = 4


def jpeg(seed: int) -> bytes:
    """A small picture; readers take its size for granted from the calibration."""
    random = np.random.default_rng(seed)
    return bytes(cv2.imencode(".jpg", random.integers(0, 256, (8, 16, 3), dtype=np.uint8))[1])


def made_drive(
    name: str, east_m: float | None = None, *, seed: int = 0, start_s: int = 0, vehicle: str | None = None
) -> Drive:
    """A drive that stands some metres east of a point in Germany, or one that does not say where it is."""
    drive = made_up(N_FRAMES, seed, name=name)
    info = drive.info
    poses = info.trajectory.world_from_ego.copy()
    poses[:, :2] = (0.0 if east_m is None else east_m, 0.0)
    poses[:, 0] += np.arange(N_FRAMES)  # 3 m to the east
    times = info.frame_timestamp_ns + start_s * 1_000_000_000
    origin = {**({} if east_m is None else UTM), **({"vehicle": vehicle} if vehicle else {})}
    info = replace(
        info,
        trajectory=Trajectory(times, poses),
        frame_timestamp_ns=times,
        source={"format": "rig", "origin": origin},
    )
    return Drive(info, dict.fromkeys(CAMERAS, times))


def make_store(
    root: Path,
    name: str,
    east_m: float | None = None,
    *,
    seed: int = 0,
    sequence: str | None = None,
    missing: Sequence[int] = (),
    lean: bool = False,
    **where: Any,
) -> LabelsInMemory:
    """A store with pictures and labels ``auto``; returns these.

    Args:
        sequence: the name that the log has for itself.
        missing: frames of which the front camera has no picture.
    """
    drive = made_drive(sequence or name, east_m, seed=seed, **where)
    store = SequenceStore.create(root / f"{name}.zarr", drive.info)
    for row, camera in enumerate(CAMERAS):
        files = [
            b"" if camera == CAMERAS[0] and frame in missing else jpeg(seed * 100 + row * 10 + frame)
            for frame in range(N_FRAMES)
        ]
        status = [SampleStatus.OK if file else SampleStatus.MISSING for file in files]
        samples = {
            "timestamp_ns": drive.info.frame_timestamp_ns,
            "status": np.array(status, dtype=np.uint8),
        }
        flat = {"jpeg": np.frombuffer(b"".join(files), dtype=np.uint8)}
        store.sensor_table(camera).write(0, Part(samples, np.array([len(file) for file in files]), flat))
    empty = {"timestamp_ns": drive.info.frame_timestamp_ns, "status": np.ones(N_FRAMES, dtype=np.uint8)}
    points = {
        "points": np.empty((0, 4), dtype=np.float32),
        "point_time_offset_ns": np.empty(0, dtype=np.int32),
    }
    store.sensor_table("top").write(0, Part(empty, np.zeros(N_FRAMES, dtype=np.int64), points))
    labels = random_labels(seed, 12, on=drive, lean=lean)
    store.write_labels("auto", labels.boxes2d, labels.boxes3d, class_names=CLASSES, provenance={})
    return labels


__all__ = [
    "CAMERAS",
    "CLASSES",
    "FRAME_NS",
    "HEIGHT",
    "N_FRAMES",
    "WIDTH",
    "jpeg",
    "made_drive",
    "make_store",
]
