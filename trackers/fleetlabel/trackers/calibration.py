"""Detector scores as probabilities, which is what the trackers' thresholds are about."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, AnyArray


def calibrate(score: AnyArray, even_at: float) -> F64:
    """Confidences (N,) in [0, 1] as probabilities that the detection is right, float64.

    Detectors mean different things by 0.5: one is right nine times of ten there, another never. ``even_at``
    is the confidence at which this one is right every other time; odds are divided by the odds there.

    Raises:
        ValueError: ``even_at`` is not between 0 and 1.
    """
    if not 0.0 < even_at < 1.0:
        raise ValueError(f"even_at is {even_at}, expected a confidence between 0 and 1, both excluded")
    p = np.asarray(score, dtype=np.float64)
    return np.asarray(p * (1.0 - even_at) / (p * (1.0 - even_at) + (1.0 - p) * even_at), dtype=np.float64)
