"""Whose track a fragment could be: objects that end before it begins, or begin after it ends, at the right place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.viewers.editor.source import Source

_LONGEST_GAP = 25  # frames
_OVERLAP = 3  # frames that two fragments may share
_NEAR_M, _NEAR_M_PER_FRAME = 1.5, 0.25
_CANDIDATES = 40
_SPEED_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Two objects that are probably one.

    Attributes:
        object_id, other_id: the two.
        frame: where to look at the seam.
        distance_m: how far the one is from where the other leads.
        text: in words.
    """

    object_id: int
    other_id: int
    frame: int
    distance_m: float
    text: str


def suggest_identity(source: Source, object_id: int) -> Suggestion | None:
    """The likeliest other fragment of an object; None if there is none."""
    tracks = source.tracks()
    row = tracks.row(object_id)
    mine = source.boxes(object_id).cuboids
    if row is None or not len(mine):
        return None
    first, last = int(mine.frame[0]), int(mine.frame[-1])
    gap_before = first - tracks.last
    gap_after = tracks.first - last
    fits = (tracks.class_id == tracks.class_id[row]) & tracks.solid & (tracks.object_id != object_id)
    fits &= ((gap_before > -_OVERLAP) & (gap_before <= _LONGEST_GAP)) | (
        (gap_after > -_OVERLAP) & (gap_after <= _LONGEST_GAP)
    )
    rows = np.flatnonzero(fits)
    gap = np.minimum(
        np.where(gap_before[rows] > -_OVERLAP, np.abs(gap_before[rows]), 1 << 20),
        np.where(gap_after[rows] > -_OVERLAP, np.abs(gap_after[rows]), 1 << 20),
    )
    best: Suggestion | None = None
    for candidate in tracks.object_id[rows[np.argsort(gap, kind="stable")[:_CANDIDATES]]].tolist():
        found = _joint(object_id, mine, candidate, source.boxes(candidate).cuboids)
        if found is not None and (best is None or found.distance_m < best.distance_m):
            best = found
    return best


def _joint(object_id: int, mine: Boxes3D, other_id: int, other: Boxes3D) -> Suggestion | None:
    if not len(other):
        return None
    earlier, later = (other, mine) if other.frame[0] < mine.frame[0] else (mine, other)
    gap = int(later.frame[0] - earlier.frame[-1])
    if not -_OVERLAP < gap <= _LONGEST_GAP:
        return None
    at = later.frame[0]
    off = min(
        float(np.linalg.norm(_led_to(earlier, at, -1)[:2] - later.center_m[0, :2])),
        float(np.linalg.norm(_led_to(later, earlier.frame[-1], 0)[:2] - earlier.center_m[-1, :2])),
    )
    if off > _NEAR_M + _NEAR_M_PER_FRAME * max(gap, 0):
        return None
    when = "ends" if earlier is other else "begins"
    frames = f"{abs(gap)} frame{'s' if abs(gap) != 1 else ''}"
    text = f"{when} {frames} {'before' if earlier is other else 'after'}, {off:.1f} m off"
    return Suggestion(object_id, other_id, int(at), off, text)


def _led_to(boxes: Boxes3D, frame: int, end: int) -> F64:
    """Where a track's last (-1) or first (0) frames lead, (3,)."""
    rows = slice(-_SPEED_FRAMES, None) if end else slice(None, _SPEED_FRAMES)
    frames, centers = boxes.frame[rows].astype(np.float64), boxes.center_m[rows]
    anchor: F64 = centers[end]
    if len(frames) < 2:
        return anchor
    speed = (centers[-1] - centers[0]) / (frames[-1] - frames[0])
    led: F64 = anchor + speed * (frame - float(frames[end]))
    return led
