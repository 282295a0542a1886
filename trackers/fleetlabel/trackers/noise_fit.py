"""Noise of a detector and a scene by maximum likelihood: how boxes jitter, how fast objects change course."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.trackers.kernels import smoothing
from fleetlabel.trackers.timeline import ClassNoise, Evidence, Timeline, measurements

MEASUREMENT_FACTORS = 2.0 ** np.arange(-3.0, 3.5, 0.5)
PROCESS_FACTORS = 2.0 ** np.arange(-4.0, 4.5, 1.0)
KINDS_2D = ((0, 1), (2, 3))  # centre, size
KINDS_3D = ((0, 1), (2,), (3, 4, 5), (6,))  # ground plane, height, size, heading
MIN_SAMPLES = 60  # fewer detections than this say too little: the configured noise stands
MIN_TRACK = 5  # samples of a track that takes part
DOF = 4.0


def fit_noise(evidence: Evidence, line: Timeline, start: F64) -> ClassNoise:
    """Noise of each class that makes the detections of its tracks most likely.

    Numbers of one kind (centre, size, heading) share a factor on their measurement noise and one on their
    process noise; both are searched on a grid about ``start`` (4, D).
    """
    measured = measurements(evidence, line.ptr, line.detection)
    time_s = evidence.time_s[line.frame]
    seen = line.detection >= 0
    spread = np.full(len(seen), np.inf)
    spread[seen] = 1.0 / np.sqrt(evidence.weight[line.detection[seen]])
    long_enough = np.add.reduceat(seen, line.ptr[:-1]) >= MIN_TRACK
    classes, values = [], []
    for class_id in np.unique(line.class_id):
        chosen = (long_enough & (line.class_id == class_id))[line.track]
        if np.count_nonzero(chosen & seen) < MIN_SAMPLES:
            continue
        ptr = np.concatenate([[0], np.cumsum(np.bincount(line.track[chosen]))]).astype(np.int64)
        columns = (time_s[chosen], measured[chosen], spread[chosen], line.scale[chosen])
        classes.append(class_id)
        values.append(_fit_class(np.unique(ptr), *columns, start, KINDS_3D if evidence.is_3d else KINDS_2D))
    return ClassNoise(
        classes=np.array(classes, dtype=np.int64),
        values=np.array(values, dtype=np.float64).reshape(-1, *start.shape),
        other=start,
    )


def _fit_class(
    ptr: I64,
    time_s: F64,
    measured: F64,
    spread: F64,
    scale: F64,
    start: F64,
    kinds: tuple[tuple[int, ...], ...],
) -> F64:
    fitted = start.copy()
    for kind in kinds:
        best = -np.inf
        for r in MEASUREMENT_FACTORS:
            for q in PROCESS_FACTORS:
                factor = np.array([r, 1.0, q, q])
                likelihood = 0.0
                for a in kind:
                    column = np.ascontiguousarray(measured[:, a])
                    likelihood += smoothing.log_likelihood(
                        ptr, time_s, column, spread, scale, start[:, a] * factor, DOF
                    )
                if likelihood > best:
                    best = likelihood
                    fitted[:, kind] = start[:, kind] * factor[:, None]
    return fitted
