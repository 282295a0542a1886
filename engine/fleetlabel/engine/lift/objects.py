"""From one detection and the voxels in its box to cuboids: cluster, choose, grow beyond the box, fit, compare."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fleetlabel.engine.lift.assignment import claims, least_objection, objection
from fleetlabel.engine.lift.columns import (
    COST,
    CREDIT,
    CUT_BOTTOM,
    CUT_TOP,
    LENGTH,
    N_COLUMNS,
    OFF_BOTTOM,
    OFF_TOP,
    POINTS,
    RANGE,
    SLOPE_BOTTOM,
    SLOPE_TOP,
    TIME,
    TOP,
    WIDTH,
    YAW,
    X,
    Y,
)
from fleetlabel.engine.lift.fit import (
    CAP_IN_FIT,
    CAP_IN_JUDGE,
    Evidence,
    cuboid_cost,
    refine,
    seen_from_above,
    suggest,
)
from fleetlabel.engine.lift.selection import cluster, rank_clusters
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

GROW_M = 0.35  # how far beyond a first fit more of the object is looked for
SAME_TIME_NS = 25e6
WALL_REACH_M = 1.2
WALL_BIN_M = 0.2
N_END_BINS = 5
WALL_COST = 40.0


class Voxels(NamedTuple):
    """The obstacle cloud as kernels take it; see :class:`fleetlabel.engine.lift.cloud.ObstacleCloud`."""

    xyz: F64
    height: F64
    n_points: F64
    time_ns: F64
    lidar_xy: F64
    cell_ptr: I64
    n_cells: int
    half_width: float
    cell_m: float


class Sight(NamedTuple):
    """The detections as kernels take them, one row each; see :class:`fleetlabel.engine.lift.frustum.Frusta`.

    Attributes:
        ptr, rows, uv: voxels in each box, and their place in it.
        eye: (D, 3) camera.
        edges, silhouettes: (D, 4) and (D, 10) see columns.py.
        range_expected, contact_range: (D,) see selection.py.
        camera, group, xyxy_px: (D, ...) who competes with whom, and their boxes in the picture.
    """

    ptr: I64
    rows: I64
    uv: F64
    eye: F64
    edges: F64
    silhouettes: F64
    range_expected: F64
    contact_range: F64
    camera: I64
    group: I64
    xyxy_px: F64


class Sizes(NamedTuple):
    """The class priors as kernels take them; see :class:`fleetlabel.engine.lift.priors.PriorTable`."""

    mean: F64
    sigma: F64
    low: F64
    high: F64
    axial: F64


@kernel
def lift_detections(
    voxels: Voxels, sight: Sight, sizes: Sizes, prior_row: I64, order: I64
) -> tuple[F64, F64]:
    """Objects (D, N_COLUMNS), one per detection, and what speaks against each, (D,): infinite where there is none.

    Args:
        prior_row: (D,) row of ``sizes`` that holds for each detection.
        order: (D,) in which detections choose.
    """
    mark = np.zeros(len(voxels.xyz), dtype=np.int64)
    scratch = np.empty((4, 16, 2))
    taken = np.zeros((len(order), N_COLUMNS))
    taken[:, COST] = np.inf
    against = np.full(len(order), np.inf)
    row = np.zeros(N_COLUMNS)
    for turn in range(len(order)):
        d = order[turn]
        k = prior_row[d]
        rows, labels, best, credit = _candidates(voxels, sight, sizes, d, k)
        least = np.inf
        for c in range(len(best)):
            # Clusters come by falling credit: once the best object beats what the next can reach, it is chosen.
            if credit[c] <= 0.0 or least <= least_objection(credit[c]):
                break
            member = rows[labels == best[c]]
            road = np.mean(voxels.xyz[member, 2] - voxels.height[member])
            row[:] = 0.0
            if sizes.axial[k] > 0:
                _fit_vehicle(voxels, sight, sizes, member, mark, road, d, k, row)
            else:
                _place_person(voxels, member, sizes.mean[k], row)
            eye = sight.eye[d]
            row[CREDIT] = credit[c]
            row[RANGE] = max(np.sqrt((row[X] - eye[0]) ** 2 + (row[Y] - eye[1]) ** 2), 0.1)
            _compare_edges(road, eye, sight.edges[d], row)
            total = objection(row)
            claimed = claims(row, d, taken, order[:turn], sight.camera, sight.group, sight.xyxy_px, scratch)
            if total + claimed < least:
                least = total + claimed
                against[d] = total
                taken[d] = row
    return taken, against


@kernel
def _candidates(voxels: Voxels, sight: Sight, sizes: Sizes, d: int, k: int) -> tuple[I64, I64, I64, F64]:
    """Voxels of a detection (N,), their clusters (N,), and the best clusters (K,) with their credit (K,)."""
    inside = sight.rows[sight.ptr[d] : sight.ptr[d + 1]]
    use = np.flatnonzero(voxels.height[inside] <= sizes.high[k, 2] + 0.2)
    rows = inside[use]
    if len(rows) == 0:
        return rows, rows, rows, np.empty(0)
    eye = sight.eye[d]
    xyz = voxels.xyz[rows]
    distance = np.median(np.sqrt((xyz[:, 0] - eye[0]) ** 2 + (xyz[:, 1] - eye[1]) ** 2))
    labels, n_clusters = cluster(xyz, 0.25 + 0.006 * distance)
    best, credit = rank_clusters(
        xyz,
        voxels.height[rows],
        sight.uv[sight.ptr[d] + use],
        voxels.n_points[rows],
        labels,
        n_clusters,
        eye,
        sight.range_expected[d],
        sight.contact_range[d],
        sizes.high[k],
        sizes.mean[k],
    )
    return rows, labels, best, credit


@kernel
def _fit_vehicle(
    voxels: Voxels, sight: Sight, sizes: Sizes, member: I64, mark: I64, road: float, d: int, k: int, row: F64
) -> None:
    """Fits the cluster in the detection's box, and the cluster grown beyond it; keeps what explains more."""
    size = np.empty((4, 2))
    size[0], size[1], size[2], size[3] = (
        sizes.mean[k, :2],
        sizes.sigma[k, :2],
        sizes.low[k, :2],
        sizes.high[k, :2],
    )
    lidar = voxels.lidar_xy[member[len(member) // 2]].copy()
    evidence = Evidence(lidar, sight.silhouettes[d : d + 1], size, CAP_IN_FIT)
    ceiling = _ceiling(voxels, sight, sizes, member, road, d, k)
    boxes, _ = suggest(seen_from_above(voxels.xyz, member), evidence)
    first = boxes[0].copy()
    body = _connected(voxels, member, mark, sizes.mean[k, 0], ceiling)
    body = _of_one_time(voxels, body)
    boxes, _ = suggest(seen_from_above(voxels.xyz, body), evidence)
    second = boxes[0].copy()
    own = _of_one_time(
        voxels,
        _union(_within(voxels, first, GROW_M, ceiling), _within(voxels, second, GROW_M, ceiling), mark),
    )
    if len(own) == 0:
        own = member
    points = seen_from_above(voxels.xyz, own)
    boxes, costs = suggest(points, evidence)
    best, cost = boxes[0].copy(), costs[0]
    for start in (first, second):
        value = cuboid_cost(start, points, evidence, cost)
        if value < cost:
            best, cost = start, value
    refine(best, points, evidence, 0.2, 0.03)
    own = _of_one_time(voxels, _within(voxels, best, GROW_M, ceiling))
    if len(own) == 0:
        own = member
    points = seen_from_above(voxels.xyz, own)
    refine(best, points, evidence, 0.1, 0.012)
    judged = cuboid_cost(best, points, Evidence(lidar, evidence.silhouettes, size, CAP_IN_JUDGE), np.inf)
    _describe(voxels, own, best, judged + _wall_cost(voxels, best, lidar, ceiling), row)


@kernel
def _wall_cost(voxels: Voxels, box: F64, lidar: F64, ceiling: float) -> float:
    """What speaks for a piece of wall: the seen face goes on in line beyond both ends of the cuboid, and above it.

    Cars parked in a row are in line as well, but leave a gap.
    """
    c, s = np.cos(box[4]), np.sin(box[4])
    near = _within(voxels, box, WALL_REACH_M, np.inf)
    sensor = np.array([c * lidar[0] + s * lidar[1], -s * lidar[0] + c * lidar[1]])
    worst = 0.0
    for axis in range(2):  # the axis across the face
        if box[2 * axis] <= sensor[axis] <= box[2 * axis + 1]:
            continue
        face = box[2 * axis + 1] if sensor[axis] > box[2 * axis + 1] else box[2 * axis]
        low, high = box[2 - 2 * axis], box[3 - 2 * axis]
        n_bins = int((high - low) / WALL_BIN_M) + 1
        ends = np.zeros((2, N_END_BINS))
        above = np.zeros(n_bins)
        for p in near:
            x, y = voxels.xyz[p, 0], voxels.xyz[p, 1]
            across = c * x + s * y if axis == 0 else -s * x + c * y
            along = -s * x + c * y if axis == 0 else c * x + s * y
            if abs(across - face) > 0.3:
                continue
            if low <= along < high:
                if voxels.height[p] > ceiling + 0.3:
                    above[int((along - low) / WALL_BIN_M)] = 1.0
            elif voxels.height[p] <= ceiling:
                beyond, end = (along - high, 1) if along >= high else (low - along, 0)
                if beyond > 0.1:
                    ends[end, min(int((beyond - 0.1) / WALL_BIN_M), N_END_BINS - 1)] = 1.0
        full = (ends[0].min() + ends[1].min()) * 0.5
        if full > 0.0:
            worst = max(worst, WALL_COST * (0.6 * full + 0.4 * min(above.mean() / 0.6, 1.0)))
    return worst


@kernel
def _ceiling(voxels: Voxels, sight: Sight, sizes: Sizes, member: I64, road: float, d: int, k: int) -> float:
    """Height above the road up to which voxels may belong to the object: what hangs above it is not part of it."""
    ceiling: float = min(sizes.high[k, 2], sizes.mean[k, 2] + 2.5 * sizes.sigma[k, 2])
    if sight.edges[d, CUT_TOP] == 0.0:
        eye = sight.eye[d]
        x, y = np.median(voxels.xyz[member, 0]), np.median(voxels.xyz[member, 1])
        reach = np.sqrt((x - eye[0]) ** 2 + (y - eye[1]) ** 2)
        seen = eye[2] + sight.edges[d, SLOPE_TOP] * reach - road
        ceiling = min(ceiling, max(seen + 0.2, sizes.mean[k, 2] - sizes.sigma[k, 2]))
    return ceiling


@kernel
def _of_one_time(voxels: Voxels, rows: I64) -> I64:
    """Those of the voxels that were measured at about the time at which most of them were.

    What moves is at two places when two lidars pass over it one after the other.
    """
    if len(rows) == 0:
        return rows
    time_ns = voxels.time_ns[rows]
    middle = np.sort(time_ns)[len(rows) // 2]  # a voxel's own time, so that one is kept at least
    near: I64 = rows[np.abs(time_ns - middle) <= SAME_TIME_NS]
    return near


@kernel
def _union(a: I64, b: I64, mark: I64) -> I64:
    """Rows in either; ``mark`` is zero everywhere before and after."""
    mark[a] = 1
    out = np.concatenate((a, b[mark[b] == 0]))
    mark[a] = 0
    return out


@kernel
def _connected(voxels: Voxels, member: I64, mark: I64, reach: float, ceiling: float) -> I64:
    """A cluster and what it touches outside the detection's box, within ``reach`` of the cluster's middle."""
    x, y = np.median(voxels.xyz[member, 0]), np.median(voxels.xyz[member, 1])
    square = np.array([x - reach, x + reach, y - reach, y + reach, 0.0])
    around = _within(voxels, square, 0.0, ceiling)
    if len(around) == 0:
        return member
    labels, n_clusters = cluster(voxels.xyz[around], 0.25 + 0.006 * np.sqrt(x * x + y * y))
    mark[member] = 1
    share = np.zeros(n_clusters)
    for p in range(len(around)):
        share[labels[p]] += mark[around[p]]
    mark[member] = 0
    body = around[share[labels] >= 0.1 * len(member)]
    return body if len(body) > 0 else member


@kernel
def _within(voxels: Voxels, box: F64, margin: float, ceiling: float) -> I64:
    """Voxels in a cuboid grown by ``margin``."""
    c, s = np.cos(box[4]), np.sin(box[4])
    u, v = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    x, y = c * u - s * v, s * u + c * v
    reach_u, reach_v = 0.5 * (box[1] - box[0]) + margin, 0.5 * (box[3] - box[2]) + margin
    reach_x, reach_y = abs(c) * reach_u + abs(s) * reach_v, abs(s) * reach_u + abs(c) * reach_v
    n_cells = voxels.n_cells
    i0 = min(max(int((x - reach_x + voxels.half_width) / voxels.cell_m), 0), n_cells - 1)
    i1 = min(max(int((x + reach_x + voxels.half_width) / voxels.cell_m), 0), n_cells - 1)
    j0 = min(max(int((y - reach_y + voxels.half_width) / voxels.cell_m), 0), n_cells - 1)
    j1 = min(max(int((y + reach_y + voxels.half_width) / voxels.cell_m), 0), n_cells - 1)
    size = 0
    for i in range(i0, i1 + 1):
        size += voxels.cell_ptr[i * n_cells + j1 + 1] - voxels.cell_ptr[i * n_cells + j0]
    found = np.empty(size, dtype=np.int64)
    n = 0
    for i in range(i0, i1 + 1):
        for p in range(voxels.cell_ptr[i * n_cells + j0], voxels.cell_ptr[i * n_cells + j1 + 1]):
            dx, dy = voxels.xyz[p, 0] - x, voxels.xyz[p, 1] - y
            if (
                abs(c * dx + s * dy) <= reach_u
                and abs(-s * dx + c * dy) <= reach_v
                and voxels.height[p] <= ceiling
            ):
                found[n] = p
                n += 1
    return found[:n]


@kernel
def _describe(voxels: Voxels, own: I64, box: F64, cost: float, row: F64) -> None:
    """Writes what a fitted cuboid is and holds."""
    c, s = np.cos(box[4]), np.sin(box[4])
    u, v = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    row[X], row[Y], row[YAW] = c * u - s * v, s * u + c * v, box[4]
    row[LENGTH], row[WIDTH] = box[1] - box[0], box[3] - box[2]
    tops = np.empty(len(own))
    n, when, m = 0.0, 0.0, 0
    for p in own:
        x, y = voxels.xyz[p, 0], voxels.xyz[p, 1]
        pu, pv = c * x + s * y, -s * x + c * y
        if box[0] - 0.1 <= pu <= box[1] + 0.1 and box[2] - 0.1 <= pv <= box[3] + 0.1:
            n += voxels.n_points[p]
            when += voxels.n_points[p] * voxels.time_ns[p]
            tops[m] = voxels.height[p]
            m += 1
    row[POINTS], row[COST], row[TIME] = n, cost, when / max(n, 1.0)
    row[TOP] = np.sort(tops[:m])[m - 1 - m // 50] if m > 0 else 0.0


@kernel
def _place_person(voxels: Voxels, member: I64, mean: F64, row: F64) -> None:
    """A person stands half a body behind the seen surface; the points show no heading."""
    x, y = np.median(voxels.xyz[member, 0]), np.median(voxels.xyz[member, 1])
    lidar = voxels.lidar_xy[member[len(member) // 2]]
    dx, dy = x - lidar[0], y - lidar[1]
    reach = np.sqrt(dx * dx + dy * dy) + 1e-9
    push = 0.18 * mean[1]
    x, y = x + push * dx / reach, y + push * dy / reach
    n, when, top, far = 0.0, 0.0, 0.0, 0.0
    for p in member:
        if (voxels.xyz[p, 0] - x) ** 2 + (voxels.xyz[p, 1] - y) ** 2 < mean[0] ** 2:
            n += voxels.n_points[p]
            when += voxels.n_points[p] * voxels.time_ns[p]
            top = max(top, voxels.height[p])
        else:
            far += 1.0
    row[X], row[Y], row[YAW] = x, y, 0.0
    row[LENGTH], row[WIDTH], row[TOP] = mean[0], mean[1], top
    row[POINTS], row[TIME] = n, when / max(n, 1.0)
    row[COST] = 10.0 * far / len(member)


@kernel
def _compare_edges(road: float, eye: F64, edges: F64, row: F64) -> None:
    """How far the cuboid's top and bottom lie above the detection's, in heights of that; 0 where it is cut."""
    c, s = np.cos(row[YAW]), np.sin(row[YAW])
    dx, dy = (row[X] - eye[0]) / row[RANGE], (row[Y] - eye[1]) / row[RANGE]
    half = 0.5 * (abs(c * dx + s * dy) * row[LENGTH] + abs(-s * dx + c * dy) * row[WIDTH])
    near = max(row[RANGE] - min(half, 0.5 * row[LENGTH]), 0.5)
    span = max(edges[SLOPE_TOP] - edges[SLOPE_BOTTOM], 1e-3)
    if edges[CUT_TOP] == 0.0:
        row[OFF_TOP] = ((road + row[TOP] - eye[2]) / row[RANGE] - edges[SLOPE_TOP]) / span
    if edges[CUT_BOTTOM] == 0.0:
        row[OFF_BOTTOM] = ((road - eye[2]) / near - edges[SLOPE_BOTTOM]) / span
