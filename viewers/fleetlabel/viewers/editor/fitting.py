"""Boxes and points: the ground, a box around what is under the pointer, places, faces and headings that fit.

All points are (P, 3) float64 in the world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.viewers.editor.pose import BoxPose

_GROUND_REACH_M, _GROUND_SHARE = 6.0, 3.0  # percent
_ABOVE_GROUND_M, _ABOVE_ROOF_M = 0.25, 0.3
_COARSE_M, _FINE_M = 0.2, 0.05  # steps of a search
_SIDE_M, _SKIN_M, _OUTSIDE_M = (
    0.2,
    0.06,
    0.4,
)  # points so far within, around and outside of a side belong to it
_WITHIN, _BESIDE, _EXPECTED = 0.5, 1.0, 0.04  # what points within and beside a box, and its heading, count
_CELL_M, _HIGHEST_M, _FEWEST_OWN = 0.3, 2.5, 10  # of what hangs together
_MOST = 500  # points that a search looks at
_FACE_REACH_M, _FACE_GAP_M = 1.5, 0.4
_FEWEST = 5  # points that anything is fitted to
_OUTERMOST = 2.0  # percent of a face's points that may lie outside of it


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What is seen at one frame: points (P, 3), and the sensor's place (2,)."""

    points_m: F64
    ego_xy_m: F64


def ground_height(points_m: F64, xy_m: F64, default_m: float = 0.0) -> float:
    """Height of the ground around a place (2,); ``default_m`` where there are no points."""
    near = np.all(np.abs(points_m[:, :2] - xy_m) <= _GROUND_REACH_M, axis=1)
    z = points_m[near, 2]
    return float(np.percentile(z, _GROUND_SHARE)) if len(z) >= _FEWEST else default_m


def fitted_place(box: BoxPose, points_m: F64, ego_xy_m: F64) -> BoxPose:
    """The box moved onto the points in and around it, its bottom on the ground."""
    return _search(box, [Sight(points_m, ego_xy_m)], _Window(0.8, 0.8, np.zeros(1)))


def fitted_heading(box: BoxPose, points_m: F64, ego_xy_m: F64) -> BoxPose:
    """The box turned, by at most an eighth of a turn, and moved to fit the points in and around it."""
    window = _Window(0.6, 0.5, np.radians(np.arange(-24.0, 25.0, 3.0)))
    return _search(box, [Sight(points_m, ego_xy_m)], window)


def followed_box(box: BoxPose, points_m: F64, ego_xy_m: F64) -> BoxPose:
    """The box a frame later: not far from where it was expected, and hardly turned."""
    return _search(box, [Sight(points_m, ego_xy_m)], _Window(0.75, 0.45, np.radians([-3.0, 0.0, 3.0])))


def found_box(
    points_m: F64, seed_m: F64, size_lwh_m: tuple[float, float, float], guess_rad: float, ego_xy_m: F64
) -> BoxPose:
    """A box of a size, of any heading, around the points at a place (3,); ``guess_rad`` decides what they do not."""
    ground = ground_height(points_m, seed_m[:2], float(seed_m[2]))
    box = BoxPose((float(seed_m[0]), float(seed_m[1]), ground + size_lwh_m[2] / 2), size_lwh_m, guess_rad)
    length, width, _ = size_lwh_m
    turns = np.radians(np.arange(-90.0, 90.0, 7.5)) if length > 1.2 * width else np.zeros(1)
    own = without_others(points_m, seed_m, ground, length + 0.5)
    return _search(box, [Sight(own, ego_xy_m)], _Window(length / 2 + 0.2, width / 2 + 0.2, turns))


def fitted_standing(box: BoxPose, sights: Sequence[Sight]) -> BoxPose:
    """A box that stands, turned by at most an eighth of a turn to explain what is seen of it at several frames."""
    return _search(box, sights, _Window(0.8, 0.6, np.radians(np.arange(-24.0, 25.0, 3.0))))


def without_others(points_m: F64, seed_m: F64, ground_m: float, reach_m: float) -> F64:
    """Points (Q, 3) without those near a place (3,) that stand off the ground and do not hang together with it.

    Two points hang together if they are in cells of 0.3 m that touch, seen from above.
    """
    high = points_m[:, 2] - ground_m
    near = np.all(np.abs(points_m[:, :2] - seed_m[:2]) <= reach_m, axis=1)
    rows = np.flatnonzero(near & (high > _ABOVE_GROUND_M) & (high < _HIGHEST_M))
    if len(rows) < _FEWEST:
        return points_m
    cells = np.floor((points_m[rows, :2] - seed_m[:2] + reach_m) / _CELL_M).astype(np.int64)
    taken = np.zeros(cells.max(axis=0) + 1, dtype=np.uint8)
    taken[cells[:, 0], cells[:, 1]] = 1
    _, label = cv2.connectedComponents(taken, connectivity=8)
    closest = int(np.argmin(np.linalg.norm(points_m[rows, :2] - seed_m[:2], axis=1)))
    own = label[cells[:, 0], cells[:, 1]] == label[tuple(cells[closest])]
    if int(own.sum()) < _FEWEST_OWN:
        return points_m
    keep = np.ones(len(points_m), dtype=np.bool_)
    keep[rows[~own]] = False
    kept: F64 = points_m[keep]
    return kept


def points_in(box: BoxPose, points_m: F64, margin_m: float) -> int:
    """How many points off the ground lie in the box, grown by a margin."""
    local, half = box.local(points_m), 0.5 * np.array(box.size_lwh_m)
    inside = np.all(np.abs(local) <= half + margin_m, axis=1) & (local[:, 2] > -half[2] + _ABOVE_GROUND_M)
    return int(inside.sum())


@dataclass(frozen=True, slots=True)
class _Window:
    """How far a search goes: along and across the box, and (K,) by which angles it is turned."""

    along_m: float
    across_m: float
    turn_rad: F64


def _search(box: BoxPose, sights: Sequence[Sight], window: _Window) -> BoxPose:
    """The best place and heading near a box's, coarsely, then finely; on the ground where there are too few points."""
    first = sights[0].points_m
    ground = ground_height(first, np.array(box.center_m[:2]), box.center_m[2] - box.size_lwh_m[2] / 2)
    x, y, _ = box.center_m
    box = replace(box, center_m=(x, y, ground + box.size_lwh_m[2] / 2))
    reach = 0.5 * math.hypot(*box.size_lwh_m[:2]) + math.hypot(window.along_m, window.across_m) + _OUTSIDE_M
    most = max(_MOST // len(sights), _FEWEST)
    seen = []
    for sight in sights:
        near = sight.points_m[np.all(np.abs(sight.points_m[:, :2] - np.array([x, y])) <= reach, axis=1)]
        high = near[:, 2] - ground
        near = near[(high > _ABOVE_GROUND_M) & (high < box.size_lwh_m[2] + _ABOVE_ROOF_M)]
        if len(near) >= _FEWEST:
            seen.append(Sight(near[:: -(-len(near) // most)], sight.ego_xy_m))
    if not seen:
        return box
    box = _best(box, seen, window, _COARSE_M)
    fine_turn = np.radians([-4.0, -2.0, 0.0, 2.0, 4.0]) if len(window.turn_rad) > 1 else np.zeros(1)
    return _best(box, seen, _Window(_COARSE_M, _COARSE_M, fine_turn), _FINE_M)


def _best(box: BoxPose, sights: Sequence[Sight], window: _Window, step_m: float) -> BoxPose:
    along = np.arange(-window.along_m, window.along_m + 1e-9, step_m)
    across = np.arange(-window.across_m, window.across_m + 1e-9, step_m)
    found, best = box, -np.inf
    for turn in sorted(window.turn_rad.tolist(), key=abs):
        turned = box.turned(turn)
        # What points do not decide, the heading that was expected does.
        expected = _EXPECTED * sum(len(sight.points_m) for sight in sights) * math.cos(2 * turn)
        scores = np.full((len(along), len(across)), expected)
        for sight in sights:
            u, v = turned.local(sight.points_m)[:, :2].T
            viewer = turned.local(np.array([*sight.ego_xy_m, box.center_m[2]]))
            scores += _scores(u, v, along, across, viewer, box.size_lwh_m, max(0.6 * step_m, _SKIN_M))
        row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
        if scores[row, column] > best + 1e-9:
            best = float(scores[row, column])
            found = turned.moved(np.array([along[row], across[column], 0.0]))
    return found


def _scores(
    u: F64,
    v: F64,
    along: F64,
    across: F64,
    viewer: F64,
    size_lwh_m: tuple[float, float, float],
    skin_m: float,
) -> F64:
    """(A, B) how well boxes moved by ``along`` (A,) and ``across`` (B,) explain points ``u``, ``v`` (P,) of their axes.

    Points on sides that look at the sensor speak for a box, those within it a little, those just outside against it.
    """
    near_u, in_u, out_u = _along_axis(u[None] - along[:, None], size_lwh_m[0] / 2, viewer[0] - along, skin_m)
    near_v, in_v, out_v = _along_axis(
        v[None] - across[:, None], size_lwh_m[1] / 2, viewer[1] - across, skin_m
    )
    # Products of an (A, P) and a (B, P) table, summed over points.
    on_side = near_u @ in_v.T + in_u @ near_v.T - near_u @ near_v.T
    inside = in_u @ in_v.T
    grown = (in_u + out_u) @ (in_v + out_v).T
    scores: F64 = on_side + _WITHIN * inside - _BESIDE * (grown - inside)
    return scores


def _along_axis(offset: F64, half_m: float, viewer_m: F64, skin_m: float) -> tuple[F64, F64, F64]:
    """(K, P) whether points lie at the side that looks at the sensor, within the box, and just outside, along one axis.

    ``offset`` (K, P) of the points from the middle of K boxes, ``viewer_m`` (K,) of the sensor.
    """
    inside = np.abs(offset) <= half_m + skin_m
    outside = ~inside & (np.abs(offset) <= half_m + _OUTSIDE_M)
    side = np.where(np.abs(viewer_m) <= half_m, 0.0, np.sign(viewer_m))[:, None]
    at_side = inside & (side * offset >= half_m - _SIDE_M) & (side != 0)
    return at_side.astype(np.float64), inside.astype(np.float64), outside.astype(np.float64)


def fitted_face(box: BoxPose, points_m: F64, axis: int, sign: int) -> BoxPose:
    """The box with one face on the outermost points near it; as it is if there are too few."""
    half = 0.5 * np.array(box.size_lwh_m)
    if (axis, sign) == (2, -1):
        ground = ground_height(points_m, np.array(box.center_m[:2]), box.center_m[2] - half[2])
        return box.with_face(2, -1, ground - box.center_m[2])
    local = box.local(points_m)
    others = [a for a in range(3) if a != axis]
    within = np.all(np.abs(local[:, others]) <= half[others] + 0.1, axis=1)
    along = sign * local[:, axis]
    within &= (along > -0.25 * half[axis]) & (along <= half[axis] + _FACE_REACH_M)
    within &= local[:, 2] > -half[2] + 0.15
    if int(within.sum()) < _FEWEST:
        return box
    # Outwards as long as points follow one another: what stands behind a gap is something else.
    far = np.sort(along[within])
    gap = np.flatnonzero((np.diff(far) > _FACE_GAP_M) & (far[:-1] > 0.5 * half[axis]))
    far = far[: int(gap[0]) + 1] if len(gap) else far
    return box.with_face(axis, sign, sign * float(np.percentile(far, 100.0 - _OUTERMOST)))
