"""Around the frame loop: columns of detections checked and packed on the way in, columns of rows on the way
out.

All of it is compiled, because a call per frame would otherwise spend most of its time in numpy's overhead for
tiny arrays. A chunk that does not pass the checks gives ``ok`` False and nothing else; ``online`` then words
the error.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I16, I32, I64, U8
from fleetlabel.geometry.compiled import kernel
from fleetlabel.trackers.kernels.online import (
    CLOCK_NS,
    ROW_CLASS,
    ROW_DETECTION,
    ROW_FRAME,
    ROW_ID,
    ROW_STATUS,
    STARTED,
    Life,
    track_frames,
)

State = tuple[F64, F64, F64, I64, I64]  # mean, var, real, whole, clock


@kernel
def track_2d(
    life: Life, noise: F64, timestamp_ns: I64, frame: I32, xyxy_px: F64, score: F64, class_id: I16,
    mean: F64, var: F64, real: F64, whole: I64, clock: I64,
) -> tuple[bool, State, tuple[I32, I64, F64, F64, I16, I64, U8, F64]]:  # fmt: skip
    """Track a chunk: ok, the new state, and the columns of ``Tracks2D`` in their order; changes no
    argument.
    """
    box = np.empty((len(xyxy_px), 4))
    for k in range(len(xyxy_px)):
        for a in range(2):
            low, high = xyxy_px[k, a], xyxy_px[k, a + 2]
            if not (np.isfinite(low) and np.isfinite(high)):
                low, high = np.nan, np.nan  # plain Python would warn of the difference of infinities
            box[k, a], box[k, a + 2] = 0.5 * (low + high), high - low
    clock = clock.copy()
    ok = _fit(timestamp_ns, clock, frame, box, score, 2, 4)
    if not ok:
        timestamp_ns, frame = timestamp_ns[:0], frame[:0]
    mean, var, real, whole, row_whole, row_real = track_frames(
        life, noise, timestamp_ns, _offsets(len(timestamp_ns), frame), box, score, class_id,
        mean, var, real, whole, clock,
    )  # fmt: skip
    row_frame, row_class, status, row_score = _shared(row_whole, row_real)
    n = len(row_whole)
    edges, std = np.empty((n, 4)), np.full((n, 4), np.nan)
    for i in range(n):
        k = row_whole[i, ROW_DETECTION]
        for a in range(2):
            half = 0.5 * row_real[i, a + 2]
            edges[i, a] = xyxy_px[k, a] if k >= 0 else row_real[i, a] - half
            edges[i, a + 2] = xyxy_px[k, a + 2] if k >= 0 else row_real[i, a] + half
    return (
        ok, (mean, var, real, whole, clock),
        (row_frame, row_whole[:, ROW_ID].copy(), edges, row_score, row_class, row_whole[:, ROW_DETECTION].copy(),
         status, std),
    )  # fmt: skip


@kernel
def track_3d(
    life: Life, noise: F64, timestamp_ns: I64, frame: I32, center_m: F64, size_lwh_m: F64, yaw_rad: F64,
    score: F64, class_id: I16, mean: F64, var: F64, real: F64, whole: I64, clock: I64,
) -> tuple[bool, State, tuple[I32, I64, F64, F64, F64, F64, F64, I16, I64, U8, F64]]:  # fmt: skip
    """Track a chunk: ok, the new state, and the columns of ``Tracks3D`` in their order; changes no
    argument.
    """
    box = np.empty((len(center_m), 7))
    for k in range(len(center_m)):
        for a in range(3):
            box[k, a], box[k, a + 3] = center_m[k, a], size_lwh_m[k, a]
        box[k, 6] = yaw_rad[k]
    clock = clock.copy()
    ok = _fit(timestamp_ns, clock, frame, box, score, 3, 6)
    if not ok:
        timestamp_ns, frame = timestamp_ns[:0], frame[:0]
    mean, var, real, whole, row_whole, row_real = track_frames(
        life, noise, timestamp_ns, _offsets(len(timestamp_ns), frame), box, score, class_id,
        mean, var, real, whole, clock,
    )  # fmt: skip
    row_frame, row_class, status, row_score = _shared(row_whole, row_real)
    return (
        ok, (mean, var, real, whole, clock),
        (row_frame, row_whole[:, ROW_ID].copy(), row_real[:, :3].copy(), row_real[:, 3:6].copy(),
         row_real[:, 6].copy(), row_real[:, 7:10].copy(), row_score, row_class,
         row_whole[:, ROW_DETECTION].copy(), status, np.full((len(row_whole), 3), np.nan)),
    )  # fmt: skip


@kernel
def _fit(
    timestamp_ns: I64, clock: I64, frame: I32, box: F64, score: F64, first_size: int, last_size: int
) -> bool:
    """Whether times ascend, frames exist, numbers are finite, and the sizes among them positive."""
    n_frames = len(timestamp_ns)
    if n_frames > 0 and clock[STARTED] == 1 and timestamp_ns[0] <= clock[CLOCK_NS]:
        return False
    for f in range(1, n_frames):
        if timestamp_ns[f] <= timestamp_ns[f - 1]:
            return False
    for k in range(len(frame)):
        if frame[k] < 0 or frame[k] >= n_frames or not np.isfinite(score[k]):
            return False
        for a in range(box.shape[1]):
            if not np.isfinite(box[k, a]) or (first_size <= a < last_size and box[k, a] <= 0.0):
                return False
    return True


@kernel
def _offsets(n_frames: int, frame: I32) -> I64:
    """Offsets (F + 1,) of the rows of each frame."""
    frame_ptr = np.zeros(n_frames + 1, dtype=np.int64)
    for k in range(len(frame)):
        frame_ptr[frame[k] + 1] += 1
    for f in range(n_frames):
        frame_ptr[f + 1] += frame_ptr[f]
    return frame_ptr


@kernel
def _shared(row_whole: I64, row_real: F64) -> tuple[I32, I16, U8, F64]:
    """Columns that rows of both kinds have: frame, class, status, score."""
    return (
        row_whole[:, ROW_FRAME].astype(np.int32),
        row_whole[:, ROW_CLASS].astype(np.int16),
        row_whole[:, ROW_STATUS].astype(np.uint8),
        row_real[:, row_real.shape[1] - 1].copy(),
    )
