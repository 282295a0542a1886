"""Whether stated uncertainty is right: how much of the truth lies within 90 % intervals.

A truth and a box of the same frame belong together if each is the other's nearest by centre, within a radius.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from kitti_folder import Folder, cuboids_from_kitti
from kitti_scores import Tracked

STD_OF_90 = 1.6449  # half width of a normal distribution's central 90 %
RADIUS_M = {"Car": 2.0, "Pedestrian": 1.0}
RADIUS_SIZES = 0.5  # of a truth's own size, in the picture


class Stated(Tracked, Protocol):
    """Tracks that say how sure they are: ``std`` (N, 4) of edges in px, or (N, 3) of centres in m along l w
    h.
    """

    @property
    def std(self) -> F64: ...


def coverage(folder: Folder, results: Mapping[str, Stated], task: str, cls: str) -> dict[str, float]:
    """Percent of the truth inside, over all sequences: all numbers, and each edge or axis for itself."""
    inside = [_inside(folder, sequence, result, task, cls) for sequence, result in results.items()]
    share = 100.0 * np.concatenate(inside).mean(axis=0)
    names = ("x1", "y1", "x2", "y2") if task == "2d" else ("length", "width", "height")
    out = {"coverage_90": float(share.mean())}
    return out | {f"coverage_90_{name}": float(value) for name, value in zip(names, share, strict=True)}


def _inside(folder: Folder, sequence: str, result: Stated, task: str, cls: str) -> F64:
    rows = [line.split() for line in folder.label_path(sequence).read_text().splitlines() if line.strip()]
    table = np.array([[row[0], *row[6:17]] for row in rows if row[2] == cls], dtype=np.float64).reshape(
        -1, 12
    )
    frame = table[:, 0].astype(np.int64)
    if task == "2d":
        truth = table[:, 1:5]
        centre, own = _middle(truth), _middle(result.xyxy_px)
        radius = RADIUS_SIZES * np.sqrt(np.prod(truth[:, 2:] - truth[:, :2], axis=1))
    else:
        solid = cuboids_from_kitti(table[:, 5:12])
        centre, own = solid[:, :2], result.cuboid[:, :2]
        radius = np.full(len(solid), RADIUS_M[cls])
    left, right = _nearest(frame, centre, radius, result.frame.astype(np.int64), own)
    if task == "2d":
        error = result.xyxy_px[right] - truth[left]
    else:
        error = result.cuboid[right, :3] - solid[left, :3]
        cos, sin = np.cos(result.cuboid[right, 6]), np.sin(result.cuboid[right, 6])
        along, across = cos * error[:, 0] + sin * error[:, 1], cos * error[:, 1] - sin * error[:, 0]
        error = np.stack([along, across, error[:, 2]], axis=1)
    return np.asarray(np.abs(error) <= STD_OF_90 * result.std[right], dtype=np.float64)


def _middle(xyxy_px: F64) -> F64:
    return np.asarray(0.5 * (xyxy_px[:, :2] + xyxy_px[:, 2:]), dtype=np.float64)


def _nearest(frame: I64, centre: F64, radius: F64, own_frame: I64, own: F64) -> tuple[I64, I64]:
    """Pairs (truth, row) that are each other's nearest in their frame."""
    pairs = []
    for now in np.intersect1d(frame, own_frame):
        a, b = np.flatnonzero(frame == now), np.flatnonzero(own_frame == now)
        distance = np.linalg.norm(centre[a, None] - own[None, b], axis=2)
        nearest = distance.argmin(axis=1)
        mutual = distance.argmin(axis=0)[nearest] == np.arange(len(a))
        mutual &= distance[np.arange(len(a)), nearest] < radius[a]
        pairs.append(np.stack([a[mutual], b[nearest[mutual]]]))
    both = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
    return both[0], both[1]
