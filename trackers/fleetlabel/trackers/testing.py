"""Random scenes for tests and benchmarks: objects on straight courses, seen with noise, gaps and false
alarms.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.trackers.rows import Detections2D, Detections3D


def random_detections_2d(seed: int, n_frames: int, n_objects: int) -> tuple[I64, Detections2D]:
    """Times (F,) with jitter, and detections of objects that drift through a picture of 1600 x 900."""
    rng, frame, centre = _courses(seed, n_frames, n_objects, extent=(1600.0, 900.0), speed=60.0, noise=2.0)
    size = np.tile(rng.uniform(20.0, 120.0, (n_objects, 2)), (n_frames, 1)) * rng.normal(
        1.0, 0.03, (len(frame), 2)
    )
    class_id = np.tile(rng.integers(0, 2, n_objects), n_frames)
    keep = rng.random(len(frame)) < 0.85
    return _times(rng, n_frames), Detections2D(
        frame=frame[keep].astype(np.int32),
        xyxy_px=np.concatenate([centre - size / 2, centre + size / 2], axis=1)[keep],
        score=rng.uniform(0.05, 1.0, len(frame))[keep],
        class_id=class_id[keep].astype(np.int16),
    )


def random_detections_3d(seed: int, n_frames: int, n_objects: int) -> tuple[I64, Detections3D]:
    """Times (F,) with jitter, and detections of cars and pedestrians on 100 x 100 metres, every third
    parked.
    """
    rng, frame, ground = _courses(seed, n_frames, n_objects, extent=(100.0, 100.0), speed=5.0, noise=0.1)
    class_id = np.tile(rng.integers(0, 2, n_objects), n_frames)
    size = np.where(class_id[:, None] == 0, (4.2, 1.8, 1.5), (0.7, 0.6, 1.7)) * rng.normal(
        1.0, 0.05, (len(frame), 3)
    )
    heading = np.tile(rng.uniform(-np.pi, np.pi, n_objects), n_frames) + rng.normal(0.0, 0.1, len(frame))
    heading += np.pi * (rng.random(len(frame)) < 0.05)
    keep = rng.random(len(frame)) < 0.85
    centre = np.concatenate([ground, rng.normal(0.8, 0.05, (len(frame), 1))], axis=1)
    return _times(rng, n_frames), Detections3D(
        frame=frame[keep].astype(np.int32),
        center_m=centre[keep],
        size_lwh_m=size[keep],
        yaw_rad=yaw.wrap(heading)[keep],
        score=rng.uniform(0.05, 1.0, len(frame))[keep],
        class_id=class_id[keep].astype(np.int16),
    )


def _times(rng: np.random.Generator, n_frames: int) -> I64:
    return 10**18 + np.cumsum(100_000_000 + rng.integers(-9_000_000, 9_000_000, n_frames)).astype(np.int64)


def _courses(
    seed: int, n_frames: int, n_objects: int, *, extent: tuple[float, float], speed: float, noise: float
) -> tuple[np.random.Generator, I64, F64]:
    rng = np.random.default_rng(seed)
    start, velocity = rng.uniform(0.0, extent, (n_objects, 2)), rng.normal(0.0, speed, (n_objects, 2))
    velocity[::3] = 0.0
    frame = np.repeat(np.arange(n_frames), n_objects)
    centre = np.tile(start, (n_frames, 1)) + np.tile(velocity, (n_frames, 1)) * 0.1 * frame[:, None]
    return rng, frame, centre + rng.normal(0.0, noise, centre.shape)
