"""Raw network output to candidate boxes, for the two output layouts that YOLO detectors have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fleetlabel.geometry.arrays import F32, I16


class Head(StrEnum):
    """Layout of a network's output for one picture."""

    GRID = "grid"
    """(4 + n_classes, A): centre x y, width, height in input pixels, a score per class (YOLOv5u, v8, 11)."""
    END_TO_END = "end_to_end"
    """(N, 6): x1 y1 x2 y2 in input pixels, score, class; the network did its own selection (YOLOv10, 26)."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes of one network input before non-maximum suppression.

    Attributes:
        xyxy_px: (N, 4) float32 in network pixels.
        score: (N,) float32.
        class_id: (N,) int16 the model's class number.
    """

    xyxy_px: F32
    score: F32
    class_id: I16


def read_head(output: F32, head: Head, conf: float) -> Candidates:
    """Candidates with a score above ``conf``; of a box's classes, the best-scored.

    Args:
        output: one picture's output, (4 + n_classes, A) or (N, 6), by ``head``. Scores that are not finite
            are dropped with the boxes they belong to.
    """
    if head is Head.END_TO_END:
        rows = output[output[:, 4] > conf]
        return _finite(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int16))
    scores = output[4:]
    above = np.flatnonzero(scores.max(axis=0) > conf)
    chosen = output[:, above]
    class_id = chosen[4:].argmax(axis=0)
    score = chosen[4 + class_id, np.arange(len(above))]
    half = chosen[2:4] / 2
    with np.errstate(invalid="ignore"):  # infinity less infinity is dropped below
        corners = np.concatenate([chosen[:2] - half, chosen[:2] + half])
    return _finite(corners.T, score, class_id.astype(np.int16))


def _finite(xyxy_px: F32, score: F32, class_id: I16) -> Candidates:
    good = np.isfinite(xyxy_px).all(axis=1) & np.isfinite(score)
    return Candidates(np.ascontiguousarray(xyxy_px[good]), score[good], class_id[good])
