"""Maximum-weight matching on a sparse bipartite graph: connected components, then Hungarian within each.

Gating leaves few edges, and most components are a single pair: they are matched without building a matrix.
The rest go through the shortest-augmenting-path form of the Hungarian method (Jonker and Volgenant, 1987;
Crouse, 2016).
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel


@kernel
def match(n_left: int, n_right: int, left: I64, right: I64, weight: F64, n_edges: int, right_of: I64) -> None:
    """Pick disjoint edges of greatest total weight; ``right_of`` (n_left,) receives the partner or -1.

    Edges are ``left[k]``-``right[k]`` for k < n_edges, each pair at most once, with ``weight[k] > 0``.
    """
    right_of[:n_left] = -1
    root = np.arange(n_left + n_right)
    for k in range(n_edges):
        a, b = _find(root, left[k]), _find(root, n_left + right[k])
        if a != b:
            root[max(a, b)] = min(a, b)
    start = np.zeros(n_left + n_right + 1, dtype=np.int64)
    for k in range(n_edges):
        start[_find(root, left[k]) + 1] += 1
    for node in range(n_left + n_right):
        start[node + 1] += start[node]
    order = np.empty(n_edges, dtype=np.int64)
    fill = start[:-1].copy()
    for k in range(n_edges):
        component = root[left[k]]
        order[fill[component]] = k
        fill[component] += 1
    local = np.full(n_left + n_right, -1, dtype=np.int64)
    for node in range(n_left):
        first, last = start[node], start[node + 1]
        if last - first == 1:
            right_of[left[order[first]]] = right[order[first]]
        elif last > first:
            _match_component(order[first:last], left, right, weight, n_left, local, right_of)


@kernel
def _find(root: I64, node: int) -> int:
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


@kernel
def _match_component(
    edges: I64, left: I64, right: I64, weight: F64, n_left: int, local: I64, right_of: I64
) -> None:
    lefts, rights = np.empty(len(edges), dtype=np.int64), np.empty(len(edges), dtype=np.int64)
    rows, columns = 0, 0
    for k in edges:
        if local[left[k]] < 0:
            local[left[k]] = rows
            lefts[rows] = left[k]
            rows += 1
        if local[n_left + right[k]] < 0:
            local[n_left + right[k]] = columns
            rights[columns] = right[k]
            columns += 1
    # A missing edge costs what leaving both ends unmatched costs, so the cheapest assignment is the heaviest
    # matching.
    flip = rows > columns
    cost = np.zeros((min(rows, columns), max(rows, columns)))
    for k in edges:
        i, j = local[left[k]], local[n_left + right[k]]
        if flip:
            cost[j, i] = -weight[k]
        else:
            cost[i, j] = -weight[k]
    column_of = assign(cost)
    for i in range(len(column_of)):
        j = column_of[i]
        if cost[i, j] < 0.0:
            if flip:
                right_of[lefts[j]] = rights[i]
            else:
                right_of[lefts[i]] = rights[j]


@kernel
def assign(cost: F64) -> I64:
    """Column of each row in the cheapest assignment of a dense cost matrix (n, m), n <= m, all finite."""
    n, m = cost.shape
    u, v = np.zeros(n), np.zeros(m)
    column_of, row_of = np.full(n, -1, dtype=np.int64), np.full(m, -1, dtype=np.int64)
    shortest, path = np.empty(m), np.empty(m, dtype=np.int64)
    row_done, column_done = np.empty(n, dtype=np.bool_), np.empty(m, dtype=np.bool_)
    remaining = np.empty(m, dtype=np.int64)
    for current in range(n):
        shortest[:] = np.inf
        row_done[:] = False
        column_done[:] = False
        for j in range(m):
            remaining[j] = j
        n_remaining = m
        lowest = 0.0
        i = current
        sink = -1
        while sink < 0:
            row_done[i] = True
            best = -1
            bound = np.inf
            for k in range(n_remaining):
                j = remaining[k]
                reduced = lowest + cost[i, j] - u[i] - v[j]
                if reduced < shortest[j]:
                    path[j] = i
                    shortest[j] = reduced
                if shortest[j] < bound or (
                    shortest[j] == bound and row_of[j] < 0 and row_of[remaining[best]] >= 0
                ):
                    bound = shortest[j]
                    best = k
            lowest = bound
            j = remaining[best]
            if row_of[j] < 0:
                sink = j
            else:
                i = row_of[j]
            column_done[j] = True
            n_remaining -= 1
            for k in range(best, n_remaining):  # keep the order, so that ties fall the same way everywhere
                remaining[k] = remaining[k + 1]
        u[current] += lowest
        for i in range(n):
            if row_done[i] and i != current:
                u[i] += lowest - shortest[column_of[i]]
        for j in range(m):
            if column_done[j]:
                v[j] -= lowest - shortest[j]
        j = sink
        while True:
            i = path[j]
            row_of[j] = i
            following = column_of[i]
            column_of[i] = j
            j = following
            if i == current:
                break
    return column_of
