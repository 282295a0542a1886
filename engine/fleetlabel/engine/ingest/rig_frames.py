"""Which frame a sample belongs to, where the files do not say: by time, after the sensor's own phase."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64


def frames_of(sample_ns: I64, frame_ns: I64) -> I64:
    """Frame (N,) of each sample, -1 for those that find no place.

    A sensor that fires at the frames' rate fires at a constant phase to them, which may be half a period: the nearest
    frame would then be one or the other by chance. So the phase is estimated first, and of the two frames that it
    lies between the one is taken at which more samples find a frame; of two samples with the same nearest frame, the
    nearer one gets it.

    Args:
        sample_ns: (N,) times of the samples, ascending.
        frame_ns: (F,) times of the frames, ascending.
    """
    if len(frame_ns) < 2 or len(sample_ns) < 2:
        return _nearest(sample_ns, frame_ns, 0, _period(sample_ns, frame_ns))
    period = _period(sample_ns, frame_ns)
    phase = _phase(sample_ns, frame_ns, period)
    candidates = sorted({phase, phase - period, phase + period} if phase else {0}, key=abs)
    found = [_nearest(sample_ns, frame_ns, candidate, period) for candidate in candidates]
    best = max(range(len(found)), key=lambda row: (int((found[row] >= 0).sum()), -row))
    return found[best]


def _period(sample_ns: I64, frame_ns: I64) -> int:
    times = frame_ns if len(frame_ns) > 1 else sample_ns
    return int(np.median(np.diff(times))) if len(times) > 1 else 1_000_000_000


def _phase(sample_ns: I64, frame_ns: I64, period: int) -> int:
    """Nanoseconds that samples come after the nearest frame, by the mean on the circle; 0 if they have no phase."""
    if np.median(np.diff(sample_ns)) < 0.9 * period:
        return 0
    after = sample_ns - frame_ns[_nearest_row(sample_ns, frame_ns)]
    inside = np.abs(after) <= period
    turns: F64 = after[inside] / period
    if not len(turns):
        return 0
    mean = np.exp(2j * np.pi * turns).mean()
    return round(float(np.angle(mean)) / (2 * np.pi) * period) if abs(mean) > 0.5 else 0


def _nearest(sample_ns: I64, frame_ns: I64, phase: int, period: int) -> I64:
    row = _nearest_row(sample_ns - phase, frame_ns)
    off = np.abs(sample_ns - phase - frame_ns[row])
    row[off > 0.75 * period] = -1
    order = np.lexsort((off, row))
    taken = np.zeros(len(row), dtype=np.bool_)
    taken[order[1:]] = row[order[1:]] == row[order[:-1]]
    row[taken] = -1
    return row


def _nearest_row(times_ns: I64, frame_ns: I64) -> I64:
    right = np.clip(np.searchsorted(frame_ns, times_ns), 1, max(len(frame_ns) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(frame_ns) - 1)
    nearer = np.abs(frame_ns[right] - times_ns) < np.abs(times_ns - frame_ns[left])
    return np.where(nearer, right, left).astype(np.int64)
