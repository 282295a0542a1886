"""From one detection and the voxels in its box to one cuboid: cluster, choose, grow beyond the box, fit, judge."""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.lift.fit import EFFECTIVE_POINTS, cuboid_cost, fit_cuboid, thin
from fleetlabel.engine.lift.selection import cluster, rank_clusters
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

# Columns of a result row.
X, Y, YAW, LENGTH, WIDTH, TOP, POINTS, COST, CREDIT, TIME, RANGE, COVER_U, COVER_V, OFF_TOP, OFF_BOTTOM = (
    range(15)
)
N_COLUMNS = 15
# Columns of a detection's upper and lower edge: slopes of the rays, and whether the picture's border cuts it.
SLOPE_TOP, SLOPE_BOTTOM, CUT_TOP, CUT_BOTTOM = range(4)
GROW_M = 0.35


@kernel
def lift_detections(
    xyz: F64,
    height: F64,
    count: F64,
    time_ns: F64,
    lidar_xy: F64,
    cell_ptr: I64,
    cell_rows: I64,
    n_cells: int,
    half_width: float,
    grid: float,
    ptr: I64,
    rows: I64,
    uv: F64,
    prior_row: I64,
    mean: F64,
    sigma: F64,
    low: F64,
    high: F64,
    axial: F64,
    camera: F64,
    range_expected: F64,
    contact_range: F64,
    edges: F64,
    silhouettes: F64,
    silhouette_ptr: I64,
    hints: F64,
    hint_weight: float,
    out: F64,
) -> None:
    """Fills result rows (N_CANDIDATES, N_COLUMNS) per detection; POINTS is 0 where there is no candidate.

    Args:
        xyz ... half_width: the obstacle cloud (see ObstacleCloud), ``grid`` its cell size.
        ptr, rows, uv: voxels in each box (see Frusta).
        prior_row: (D,) row of the priors mean, sigma, low, high (K, 3) and axial (K,).
        camera: (D, 3); range_expected, contact_range: (D,) see rank_clusters.
        silhouettes, silhouette_ptr: rows of silhouettes of each detection (see cuboid_cost).
    """
    mark = np.zeros(len(xyz), dtype=np.int64)
    for d in range(len(prior_row)):
        k = prior_row[d]
        inside = rows[ptr[d] : ptr[d + 1]]
        use = np.empty(len(inside), dtype=np.int64)
        n = 0
        for p in range(len(inside)):
            if height[inside[p]] <= high[k, 2] + 0.2:
                use[n] = p
                n += 1
        if n == 0:
            continue
        use = use[:n]
        voxel = inside[use]
        eye = camera[d]
        distance = np.sqrt((xyz[voxel, 0] - eye[0]) ** 2 + (xyz[voxel, 1] - eye[1]) ** 2)
        middle = np.median(distance)
        link = 0.35 + 0.008 * middle if axial[k] > 0 else 0.25 + 0.006 * middle
        labels, n_clusters = cluster(xyz[voxel][:, :2], link)
        best, credits = rank_clusters(
            xyz[voxel],
            height[voxel],
            uv[ptr[d] + use],
            count[voxel],
            labels,
            n_clusters,
            eye,
            range_expected[d],
            contact_range[d],
            high[k],
            mean[k],
        )
        views = silhouettes[silhouette_ptr[d] : silhouette_ptr[d + 1]]
        n_out = 0
        for c in range(len(best)):
            if credits[c] < 0.1 * credits[0] or credits[c] <= 0.0:
                continue
            member = voxel[labels == best[c]]
            row = out[d, n_out]
            n_out += 1
            if axial[k] > 0:
                road = np.mean(xyz[member, 2] - height[member])
                reach = np.sqrt(
                    (np.median(xyz[member, 0]) - eye[0]) ** 2 + (np.median(xyz[member, 1]) - eye[1]) ** 2
                )
                ceiling = min(high[k, 2], mean[k, 2] + 2.5 * sigma[k, 2])
                if edges[d, CUT_TOP] == 0.0:
                    seen = eye[2] + edges[d, SLOPE_TOP] * reach - road
                    ceiling = min(ceiling, max(seen + 0.2, mean[k, 2] - sigma[k, 2]))
                _fit_vehicle(
                    xyz,
                    height,
                    count,
                    time_ns,
                    lidar_xy,
                    cell_ptr,
                    cell_rows,
                    n_cells,
                    half_width,
                    grid,
                    member,
                    mark,
                    views,
                    mean[k],
                    sigma[k],
                    low[k],
                    high[k],
                    ceiling,
                    hints,
                    hint_weight,
                    row,
                )
            else:
                _place_person(xyz, height, count, time_ns, lidar_xy, member, eye, mean[k], row)
            row[CREDIT] = credits[c]
            row[RANGE] = np.sqrt((row[X] - eye[0]) ** 2 + (row[Y] - eye[1]) ** 2)
            _compare_edges(np.mean(xyz[member, 2] - height[member]), eye, edges[d], row)


@kernel
def _compare_edges(road: float, eye: F64, edges: F64, row: F64) -> None:
    """How far the cuboid's top and bottom lie above the detection's, in heights of the detection; 0 where it is cut."""
    c, s = np.cos(row[YAW]), np.sin(row[YAW])
    dx, dy = (row[X] - eye[0]) / row[RANGE], (row[Y] - eye[1]) / row[RANGE]
    half = 0.5 * (abs(c * dx + s * dy) * row[LENGTH] + abs(-s * dx + c * dy) * row[WIDTH])
    half = min(half, 0.5 * row[LENGTH])
    near = max(row[RANGE] - half, 0.5)
    span = max(edges[SLOPE_TOP] - edges[SLOPE_BOTTOM], 1e-3)
    row[OFF_TOP] = (
        0.0 if edges[CUT_TOP] > 0.0 else ((road + row[TOP] - eye[2]) / row[RANGE] - edges[SLOPE_TOP]) / span
    )
    row[OFF_BOTTOM] = (
        0.0 if edges[CUT_BOTTOM] > 0.0 else ((road - eye[2]) / near - edges[SLOPE_BOTTOM]) / span
    )


@kernel
def _fit_vehicle(
    xyz: F64,
    height: F64,
    count: F64,
    time_ns: F64,
    lidar_xy: F64,
    cell_ptr: I64,
    cell_rows: I64,
    n_cells: int,
    half_width: float,
    grid: float,
    member: I64,
    mark: I64,
    views: F64,
    mean: F64,
    sigma: F64,
    low: F64,
    high: F64,
    ceiling: float,
    hints: F64,
    hint_weight: float,
    row: F64,
) -> None:
    prior = np.empty((2, 2))
    prior[0], prior[1] = mean[:2], sigma[:2]
    limits = np.empty((2, 2))
    limits[0], limits[1] = low[:2], high[:2]
    lidar = lidar_xy[member[len(member) // 2]].copy()
    none = np.empty((0, 5))
    starts = np.empty((2, 5))
    starts[0], _ = fit_cuboid(
        xyz[member][:, :2].copy(), lidar, views, prior, limits, hints, hint_weight, none
    )
    body = _connected(
        xyz, height, cell_ptr, cell_rows, n_cells, half_width, grid, member, mark, mean[0], ceiling
    )
    starts[1] = starts[0]
    if len(body) > len(member):
        starts[1], _ = fit_cuboid(
            xyz[body][:, :2].copy(), lidar, views, prior, limits, hints, hint_weight, none
        )
    own = member
    box, cost = starts[0], np.inf
    for _ in range(2):
        near = _within(
            xyz, height, cell_ptr, cell_rows, n_cells, half_width, grid, starts[0], GROW_M, ceiling
        )
        other = _within(
            xyz, height, cell_ptr, cell_rows, n_cells, half_width, grid, starts[1], GROW_M, ceiling
        )
        own = np.unique(np.concatenate((near, other)))
        if len(own) < 1:
            own = member
        box, cost = fit_cuboid(
            xyz[own][:, :2].copy(), lidar, views, prior, limits, hints, hint_weight, starts
        )
        starts[0], starts[1] = box, box
    _describe(xyz, height, count, time_ns, own, box, cost, row)


@kernel
def _connected(
    xyz: F64,
    height: F64,
    cell_ptr: I64,
    cell_rows: I64,
    n_cells: int,
    half_width: float,
    grid: float,
    member: I64,
    mark: I64,
    reach: float,
    max_height: float,
) -> I64:
    """A cluster and what it touches outside the detection's box, within ``reach`` of the cluster's middle."""
    x, y = np.median(xyz[member, 0]), np.median(xyz[member, 1])
    square = np.array([x - reach, x + reach, y - reach, y + reach, 0.0])
    around = _within(xyz, height, cell_ptr, cell_rows, n_cells, half_width, grid, square, 0.0, max_height)
    if len(around) == 0:
        return member
    labels, n_clusters = cluster(xyz[around][:, :2], 0.25 + 0.006 * np.sqrt(x * x + y * y))
    for p in member:
        mark[p] = 1
    share = np.zeros(n_clusters)
    for p in range(len(around)):
        share[labels[p]] += mark[around[p]]
    for p in member:
        mark[p] = 0
    keep = np.zeros(len(around), dtype=np.bool_)
    for p in range(len(around)):
        keep[p] = share[labels[p]] >= 0.1 * len(member)
    return around[keep]


@kernel
def _describe(
    xyz: F64, height: F64, count: F64, time_ns: F64, own: I64, box: F64, cost: float, row: F64
) -> None:
    c, s = np.cos(box[4]), np.sin(box[4])
    u, v = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    row[X], row[Y], row[YAW] = c * u - s * v, s * u + c * v, box[4]
    row[LENGTH], row[WIDTH] = box[1] - box[0], box[3] - box[2]
    tops = np.empty(len(own))
    n, m = 0.0, 0
    when = 0.0
    u0, u1, v0, v1 = np.inf, -np.inf, np.inf, -np.inf
    for p in range(len(own)):
        pu, pv = c * xyz[own[p], 0] + s * xyz[own[p], 1], -s * xyz[own[p], 0] + c * xyz[own[p], 1]
        if box[0] - 0.1 <= pu <= box[1] + 0.1 and box[2] - 0.1 <= pv <= box[3] + 0.1:
            n += count[own[p]]
            when += count[own[p]] * time_ns[own[p]]
            tops[m] = height[own[p]]
            m += 1
            u0, u1, v0, v1 = min(u0, pu), max(u1, pu), min(v0, pv), max(v1, pv)
    row[POINTS] = n
    row[COST] = cost
    row[TIME] = when / max(n, 1.0)
    row[TOP] = np.sort(tops[:m])[max(m - 1 - m // 50, 0)] if m > 0 else 0.0
    row[COVER_U] = max(u1 - u0, 0.0) / row[LENGTH] if m > 0 else 0.0
    row[COVER_V] = max(v1 - v0, 0.0) / row[WIDTH] if m > 0 else 0.0


@kernel
def _within(
    xyz: F64,
    height: F64,
    cell_ptr: I64,
    cell_rows: I64,
    n_cells: int,
    half_width: float,
    grid: float,
    box: F64,
    margin: float,
    max_height: float,
) -> I64:
    """Voxels in a cuboid grown by ``margin``, ascending."""
    c, s = np.cos(box[4]), np.sin(box[4])
    u, v = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    x, y = c * u - s * v, s * u + c * v
    reach_u, reach_v = 0.5 * (box[1] - box[0]) + margin, 0.5 * (box[3] - box[2]) + margin
    reach_x, reach_y = abs(c) * reach_u + abs(s) * reach_v, abs(s) * reach_u + abs(c) * reach_v
    i0 = min(max(int((x - reach_x + half_width) / grid), 0), n_cells - 1)
    i1 = min(max(int((x + reach_x + half_width) / grid), 0), n_cells - 1)
    j0 = min(max(int((y - reach_y + half_width) / grid), 0), n_cells - 1)
    j1 = min(max(int((y + reach_y + half_width) / grid), 0), n_cells - 1)
    size = 0
    for i in range(i0, i1 + 1):
        size += cell_ptr[i * n_cells + j1 + 1] - cell_ptr[i * n_cells + j0]
    found = np.empty(size, dtype=np.int64)
    n = 0
    for i in range(i0, i1 + 1):
        for k in range(cell_ptr[i * n_cells + j0], cell_ptr[i * n_cells + j1 + 1]):
            p = cell_rows[k]
            dx, dy = xyz[p, 0] - x, xyz[p, 1] - y
            if (
                abs(c * dx + s * dy) <= reach_u
                and abs(-s * dx + c * dy) <= reach_v
                and height[p] <= max_height
            ):
                found[n] = p
                n += 1
    return np.sort(found[:n])


@kernel
def _place_person(
    xyz: F64, height: F64, count: F64, time_ns: F64, lidar_xy: F64, member: I64, eye: F64, mean: F64, row: F64
) -> None:
    """A person stands half a body behind the seen surface; the points show no heading."""
    x, y = np.median(xyz[member, 0]), np.median(xyz[member, 1])
    lidar = lidar_xy[member[len(member) // 2]]
    dx, dy = x - lidar[0], y - lidar[1]
    reach = np.sqrt(dx * dx + dy * dy) + 1e-9
    push = 0.12
    x, y = x + push * dx / reach, y + push * dy / reach
    n, when, top, far = 0.0, 0.0, 0.0, 0.0
    for p in range(len(member)):
        if (xyz[member[p], 0] - x) ** 2 + (xyz[member[p], 1] - y) ** 2 < 0.49:
            n += count[member[p]]
            when += count[member[p]] * time_ns[member[p]]
            top = max(top, height[member[p]])
        else:
            far += 1.0
    row[X], row[Y], row[YAW] = x, y, 0.0
    row[LENGTH], row[WIDTH] = mean[0], mean[1]
    row[TOP], row[POINTS], row[TIME] = top, n, when / max(n, 1.0)
    row[COST] = 10.0 * far / max(len(member), 1)
    row[COVER_U], row[COVER_V] = 1.0, 1.0
