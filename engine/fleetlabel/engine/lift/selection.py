"""Which of the things inside a detection's box is the detected one.

The voxels in the box are joined to clusters, seen from above. A cluster is credited with the share of the box's
pixels that it fills (lidar points are spread evenly over the picture, and the object sits in the middle of its box),
with a range that agrees with the box's angular height, and with a size that its class can have.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

N_CANDIDATES = 3
RANGE_SIGMA = (
    0.22  # relative, of the range told by the box's height: spread of class heights and detector noise
)


@kernel
def cluster(xy: F64, link_m: float) -> tuple[I64, int]:
    """Labels (N,) of points (N, 2 or more; x and y count) joined through gaps up to ``link_m``, and their number.

    Points are put into cells of half the link; occupied cells at most two apart are joined (union-find), so that
    gaps below half the link always join, and gaps above one and a half never do.
    """
    n = len(xy)
    labels = np.empty(n, dtype=np.int64)
    if n == 0:
        return labels, 0
    size = 0.5 * link_m
    x0, y0 = xy[:, 0].min(), xy[:, 1].min()
    n_columns = int((xy[:, 1].max() - y0) / size) + 5  # two empty cells on either side
    n_rows = int((xy[:, 0].max() - x0) / size) + 5
    cell_at = np.full(n_rows * n_columns, -1, dtype=np.int32)
    cells = np.empty(n, dtype=np.int64)
    m = 0
    for p in range(n):
        at = (int((xy[p, 0] - x0) / size) + 2) * n_columns + int((xy[p, 1] - y0) / size) + 2
        if cell_at[at] < 0:
            cell_at[at] = m
            cells[m] = at
            m += 1
        labels[p] = cell_at[at]
    parent = np.arange(m)
    for c in range(m):
        for di in range(3):
            for dj in range(-2 if di > 0 else 1, 3):
                other = cell_at[cells[c] + di * n_columns + dj]
                if other >= 0 and not (di == 2 and abs(dj) == 2):
                    a, b = _root(parent, c), _root(parent, other)
                    parent[max(a, b)] = min(a, b)
    name = np.full(m, -1, dtype=np.int64)
    count = 0
    for c in range(m):
        a = _root(parent, c)
        if name[a] < 0:
            name[a] = count
            count += 1
        name[c] = name[a]
    for p in range(n):
        labels[p] = name[labels[p]]
    return labels, count


@kernel
def _root(parent: I64, a: int) -> int:
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def rank_clusters(
    xyz: F64,
    height: F64,
    uv: F64,
    weight: F64,
    labels: I64,
    n_clusters: int,
    camera: F64,
    range_expected: float,
    contact_range: float,
    size_max: F64,
    size_mean: F64,
) -> tuple[I64, F64]:
    """The best clusters of one detection, best first: their labels (K,) and credits (K,), K <= N_CANDIDATES.

    Args:
        xyz, height, uv, weight: (N, ...) voxels in the box; uv is the place in the box, 0..1.
        range_expected: told by the box's angular height, NaN if it is cut off.
        contact_range: where the box's lower edge meets the road, NaN if unknown.
    """
    share = np.zeros(n_clusters)
    near = np.full(n_clusters, np.inf)
    top = np.zeros(n_clusters)
    lows = np.full((n_clusters, 2), np.inf)
    highs = np.full((n_clusters, 2), -np.inf)
    u_low = np.full(n_clusters, np.inf)
    u_high = np.full(n_clusters, -np.inf)
    total = 1e-9
    for p in range(len(xyz)):
        k = labels[p]
        du, dv = (uv[p, 0] - 0.5) / 0.35, (uv[p, 1] - 0.55) / 0.4
        dx, dy = xyz[p, 0] - camera[0], xyz[p, 1] - camera[1]
        planar = np.sqrt(dx * dx + dy * dy)
        w = weight[p] * np.exp(-0.5 * (du * du + dv * dv))
        share[k] += w
        total += w
        near[k] = min(near[k], planar)
        top[k] = max(top[k], height[p])
        for a in range(2):
            lows[k, a] = min(lows[k, a], xyz[p, a])
            highs[k, a] = max(highs[k, a], xyz[p, a])
        u_low[k] = min(u_low[k], uv[p, 0])
        u_high[k] = max(u_high[k], uv[p, 0])
    credit = np.zeros(n_clusters)
    for k in range(n_clusters):
        value = share[k] / total
        value *= 0.4 + 0.6 * min(max(u_high[k] - u_low[k], 0.0), 1.0)
        half = 0.5 * size_mean[1]
        if np.isfinite(range_expected):
            # Too near is what an occluded lower half looks like; too far cannot be explained.
            off = np.log((near[k] + half) / range_expected) / RANGE_SIGMA
            value *= 0.05 + np.exp(-0.5 * off * off) if off > 0 else 0.25 + 0.75 * np.exp(-0.5 * off * off)
        if np.isfinite(contact_range):
            off = np.log(near[k] / contact_range) / 0.15
            if off > 0:
                value *= 0.2 + 0.8 * np.exp(-0.5 * off * off)
        extent = np.sqrt((highs[k, 0] - lows[k, 0]) ** 2 + (highs[k, 1] - lows[k, 1]) ** 2)
        limit = 1.15 * np.sqrt(size_max[0] ** 2 + size_max[1] ** 2)
        if extent > limit:
            value *= max(0.2, limit / extent)
        if top[k] < 0.35 * size_mean[2]:
            value *= 0.3
        credit[k] = value
    n_out = min(n_clusters, N_CANDIDATES)
    order = np.argsort(-credit)[:n_out]
    return order, credit[order]
