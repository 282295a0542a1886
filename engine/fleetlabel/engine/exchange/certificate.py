"""The round-trip certificate: an export is read in again, and compared with what was exported.

A box that comes back is compared with the box of its frame and identity, or, where the format or the box has no
identity, with the nearest of its frame; a cuboid at the time that it comes back with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from fleetlabel.engine.exchange.contract import LabelFormat, Reading
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.losses import CUBOIDS, Survey
from fleetlabel.geometry import boxes as geometry
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.motion import moved_to

B = TypeVar("B", Boxes2D, Boxes3D)

# Least part of the smaller of two boxes in pictures that the other one covers if they may be one, cut at an edge.
_SHARED = 0.7
# Compared apart, by their corners and edges.
_GEOMETRY = {"center_m", "size_lwh_m", "q_wxyz", "xyxy_px", "frame"}


@dataclass(slots=True, eq=False)
class _Tally:
    """How boxes of one camera, or cuboids, came back.

    Attributes:
        back: (N,) which of the boxes did.
        ptr: (F + 1,) where each frame's boxes begin in it.
        added: boxes that came back as nothing that was there.
        worst: of all errors, in metres or pixels.
        changed: column that should be exact -> boxes in which it is not.
    """

    back: Bool
    ptr: I64
    added: int = 0
    worst: float = 0.0
    changed: dict[str, int] = field(default_factory=dict)


def certify(labels: Labels, found: Survey, format: LabelFormat, out: Path) -> dict[str, Any]:
    """What came back of an export, as a JSON-ready certificate.

    Args:
        found: the survey of these labels.
        out: where they were exported to.
    """
    tallies = {
        of: _Tally(np.zeros(rows.sum(), dtype=np.bool_), np.concatenate([[0], np.cumsum(rows)]))
        for of, rows in found.rows.items()
        if format.carries.columns(Boxes3D if of == CUBOIDS else Boxes2D)
    }
    # Files of one camera need not say which.
    reading = Reading(labels.drive, labels.cameras[0] if len(labels.cameras) == 1 else None)
    for block in format.read(out, reading):
        of = CUBOIDS if block.camera is None else block.camera
        tally, boxes = tallies.get(of), block.boxes
        if tally is None or not len(boxes):
            continue
        low, high = int(boxes.frame[0]), int(boxes.frame[-1]) + 1
        for (mine,) in labels.read_blocks(lambda a, b, boxes=boxes: (_within(boxes, a, b),), low, high):  # type: ignore[misc]
            if len(mine):
                _compare(labels, block.camera, mine, tally, format)
    certificate: dict[str, Any] = {}
    for of, tally in tallies.items():
        error = "max_corner_error_m" if of == CUBOIDS else "max_edge_error_px"
        certificate[of] = {
            "exported": len(tally.back),
            "came_back": int(tally.back.sum()),
            "added": tally.added,
            error: tally.worst,
            "changed": tally.changed,
        }
    return certificate


def _compare(
    labels: Labels, camera: str | None, mine: Boxes2D | Boxes3D, tally: _Tally, format: LabelFormat
) -> None:
    start, stop = int(mine.frame[0]), int(mine.frame[-1]) + 1
    # Neighbours in time are needed to know where a cuboid is at another time than its own.
    theirs: Boxes = labels.around(start, stop) if camera is None else labels.shown(camera, start, stop)
    has_ids = "track_id" in format.carries.columns(type(mine))
    partner = match(mine, theirs, has_ids)
    hit = np.flatnonzero(partner >= 0)
    tally.added += len(mine) - len(hit)
    if not len(hit):
        return
    a, b = mine.take(hit), partner[hit]
    first = np.searchsorted(theirs.frame, theirs.frame[b])
    tally.back[tally.ptr[theirs.frame[b]] + b - first] = True
    tally.worst = max(tally.worst, float(_errors(a, theirs, b).max()))
    labels_a = a.class_labels()
    for name in format.carries.exact(type(mine)):
        if name in _GEOMETRY:
            continue
        if name == "class_id":
            differs = labels_a != theirs.class_labels()[b]
        else:
            differs = _differ(getattr(a, name), getattr(theirs, name)[b])
        if differs.any():
            tally.changed[name] = tally.changed.get(name, 0) + int(differs.sum())


def match(mine: Boxes, theirs: Boxes, by_identity: bool) -> I64:
    """Row (N,) of ``theirs`` that each of ``mine`` is, -1 where there is none.

    Boxes of one frame and identity are one another; among several of these, and among boxes without identity, those
    that are nearest, if they may be one.
    """
    n = len(mine)
    partner = np.full(n, -1, dtype=np.int64)
    if not n or not len(theirs):
        return partner
    ids = [boxes.track_id if by_identity else np.full(len(boxes), -1) for boxes in (mine, theirs)]
    pairs = np.stack([np.concatenate([mine.frame, theirs.frame]), np.concatenate(ids)], axis=1)
    _, code = np.unique(pairs, axis=0, return_inverse=True)
    a, b = code.reshape(-1)[:n], code.reshape(-1)[n:]
    count = np.bincount(b, minlength=int(code.max()) + 1)
    alone = (count[a] == 1) & (ids[0] >= 0)
    row_of = np.zeros(len(count), dtype=np.int64)
    row_of[b] = np.arange(len(b))
    partner[alone] = row_of[a[alone]]
    rest = np.flatnonzero(~alone & (count[a] > 0))
    rest = rest[np.argsort(a[rest], kind="stable")]
    order, begin = np.argsort(b, kind="stable"), np.concatenate([[0], np.cumsum(count)])
    place_a, place_b = _places(mine), _places(theirs)
    for rows in np.split(rest, np.flatnonzero(np.diff(a[rest])) + 1) if len(rest) else []:
        which = a[rows[0]]
        others = order[begin[which] : begin[which + 1]]
        partner[rows] = _nearest(place_a[rows], place_b[others], others)
    rest = rest[partner[rest] >= 0]
    if len(rest):
        partner[rest[~_may_be_one(mine.take(rest), theirs.take(partner[rest]))]] = -1
    return partner


def _may_be_one(a: Boxes, b: Boxes) -> Bool:
    """Rows (N,) in which two boxes may be the same one, whatever a format changed."""
    if isinstance(a, Boxes2D) and isinstance(b, Boxes2D):
        low = np.maximum(a.xyxy_px[:, :2], b.xyxy_px[:, :2])
        high = np.minimum(a.xyxy_px[:, 2:], b.xyxy_px[:, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        areas = [(boxes.xyxy_px[:, 2:] - boxes.xyxy_px[:, :2]).prod(axis=1) for boxes in (a, b)]
        return np.asarray(shared >= _SHARED * np.minimum(*areas))
    assert isinstance(a, Boxes3D) and isinstance(b, Boxes3D)
    reach_m = (np.linalg.norm(a.size_lwh_m, axis=1) + np.linalg.norm(b.size_lwh_m, axis=1)) / 2
    return np.asarray(np.linalg.norm(a.center_m - b.center_m, axis=1) <= reach_m)


def _nearest(mine: F64, theirs: F64, rows: I64) -> I64:
    """Rows of the places (M,) that the places (N,) are, each once; -1 where there are not enough."""
    distance = np.abs(mine[:, None] - theirs[None]).sum(axis=2)
    partner = np.full(len(mine), -1, dtype=np.int64)
    best, back = distance.argmin(axis=1), distance.argmin(axis=0)
    mutual = back[best] == np.arange(len(mine))
    partner[mutual] = rows[best[mutual]]
    left, free = np.flatnonzero(~mutual), np.setdiff1d(np.arange(len(theirs)), best[mutual])
    a, b = linear_sum_assignment(distance[np.ix_(left, free)])
    partner[left[a]] = rows[free[b]]
    return partner


def _places(boxes: Boxes) -> F64:
    return boxes.xyxy_px if isinstance(boxes, Boxes2D) else boxes.center_m  # type: ignore[attr-defined]


def _errors(mine: Boxes, theirs: Boxes, rows: I64) -> F64:
    """Largest distance of corners in metres, or of edges in pixels, of each box (N,)."""
    if isinstance(mine, Boxes2D) and isinstance(theirs, Boxes2D):
        return np.asarray(np.abs(mine.xyxy_px - theirs.xyxy_px[rows]).max(axis=1))
    assert isinstance(mine, Boxes3D) and isinstance(theirs, Boxes3D)
    time_ns = theirs.timestamp_ns.copy()
    time_ns[rows] = mine.timestamp_ns
    center, q_wxyz = moved_to(theirs, time_ns)
    corners = geometry.corners(center[rows], theirs.size_lwh_m[rows], q_wxyz[rows])
    return np.asarray(np.linalg.norm(mine.corners_m() - corners, axis=2).max(axis=1))


def _differ(a: AnyArray, b: AnyArray) -> Bool:
    """Rows (N,) in which a column differs by more than rounding; NaN is NaN."""
    if a.dtype.kind != "f":
        return np.asarray((a != b).reshape(len(a), -1).any(axis=1))
    same = np.isclose(a, b, rtol=1e-6, atol=1e-3 if a.ndim > 1 else 1e-6, equal_nan=True)
    return np.asarray(~same.reshape(len(a), -1).all(axis=1))


def _within(boxes: B, start: int, stop: int) -> B:
    low, high = np.searchsorted(boxes.frame, [start, stop])
    return boxes.take(slice(int(low), int(high)))
