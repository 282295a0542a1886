"""Which drives came past one another's places, so that a split would let a test see what was trained on.

A drive's way is comparable with another's if both logs say where on Earth they were, or are of one map whose frame
they share: nuScenes' locations, Argoverse 2's cities. Heights do not count: a bridge is the place below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fleetlabel.engine.fleet.places import EARTH_RADIUS_M, on_earth
from fleetlabel.engine.ingest.argoverse2 import Argoverse2
from fleetlabel.engine.ingest.nuscenes import NuScenes
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.store import SequenceInfo

EARTH = "Earth"
# Ways are taken at points so far apart, as a share of the distance that joins: what is joined is no further apart
# than the distance and this share of it.
STEP = 0.05
_APART_M = 1e8  # between frames, each of which is smaller


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """Where a drive went.

    Attributes:
        frame: that the points are in; ways in different ones cannot be compared.
        points_m: (P, 3) along the way, no further apart than ``STEP`` of the distance that joins; straight lines
            between them are as long as on the ground, for distances of some kilometres.
    """

    frame: str
    points_m: F64


def way_of(info: SequenceInfo, within_m: float) -> Way | None:
    """The way of a drive, to be compared at a distance; None if its log does not say where it was."""
    points = _evenly(info.trajectory.world_from_ego[:, :2] + info.world_offset_m[:2], STEP * within_m)
    degrees = on_earth(info, points)
    if degrees is not None:
        latitude, longitude = np.radians(degrees).T
        around = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)])
        return Way(EARTH, EARTH_RADIUS_M * np.stack([*around, np.sin(latitude)], axis=1))
    frame = _map_of(info)
    return None if frame is None else Way(frame, np.concatenate([points, np.zeros((len(points), 1))], axis=1))


def joined(ways: Sequence[Way | None], within_m: float) -> I64:
    """Number (N,) of the group of places that each drive belongs to; a drive without a way is one of its own.

    Drives that came closer than ``within_m`` to each other are in one group, and so is who came close to either. None
    are joined that were further apart than ``1 + STEP`` times that.
    """
    rows = [row for row, way in enumerate(ways) if way is not None]
    if not rows:
        return np.arange(len(ways))
    frames = {name: place for place, name in enumerate(sorted({w.frame for w in ways if w is not None}))}
    parts = [way.points_m + np.array([_APART_M * frames[way.frame], 0, 0]) for way in ways if way is not None]
    points = np.concatenate(parts)
    drive = np.repeat(rows, [len(part) for part in parts])
    # Points in one cell are within the distance in any case: a place where all drives begin costs no more than one.
    cells, cell = np.unique(np.floor(points * (np.sqrt(3) / within_m)), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    group = connected(len(ways) + len(cells), drive, len(ways) + cell)
    order = np.argsort(cell, kind="stable")
    ptr = np.searchsorted(cell[order], np.arange(len(cells) + 1))
    reach_m = (1 + STEP) * within_m
    near = cKDTree((cells + 0.5) * (within_m / np.sqrt(3))).query_pairs(
        reach_m + within_m, output_type="ndarray"
    )
    a, b = group[len(ways) + near[:, 0]], group[len(ways) + near[:, 1]]
    near = near[a != b]
    met: dict[tuple[int, int], None] = {}
    for one, two in near.tolist():
        key = (int(group[len(ways) + one]), int(group[len(ways) + two]))
        key = (min(key), max(key))
        if key not in met:
            mine, theirs = points[order[ptr[one] : ptr[one + 1]]], points[order[ptr[two] : ptr[two + 1]]]
            if np.min(cKDTree(mine).query(theirs)[0]) <= reach_m:
                met[key] = None
    pairs = np.array(list(met), dtype=np.int64).reshape(-1, 2)
    return connected(int(group.max()) + 1, pairs[:, 0], pairs[:, 1])[group[: len(ways)]]


def _evenly(points: F64, step_m: float) -> F64:
    """Points (P, 2) on the line through points (N, 2), no further apart than a step; its ends among them."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], 1 + int(np.ceil(along[-1] / step_m)))
    return np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1)


def _map_of(info: SequenceInfo) -> str | None:
    """The map whose frame the log's world is, if it is that of one."""
    source = info.source
    if source.get("format") == NuScenes.name and source.get("location"):
        return f"{NuScenes.name} {source['location']}"
    if source.get("format") == Argoverse2.name:
        return f"{Argoverse2.name} {source.get('city', '')}".strip()
    return None


def connected(n: int, a: I64, b: I64) -> I64:
    """Number (N,) of the connected component of each node."""
    edges = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    found: I64 = connected_components(edges, directed=False)[1].astype(np.int64)
    return found
