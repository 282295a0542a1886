"""Sorting by a key; numba's own argsort takes seconds to compile."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel


@kernel
def order_of(key: F64) -> I64:
    """Row numbers (N,) in ascending order of ``key``, equal keys in ascending order of row (Shell, 1959)."""
    n = len(key)
    order = np.empty(n, dtype=np.int64)
    for i in range(n):
        order[i] = i
    gap = 1
    while gap < n:
        gap = 3 * gap + 1
    while gap > 1:
        gap //= 3
        for i in range(gap, n):
            row = order[i]
            k = i
            while k >= gap:
                other = order[k - gap]
                if key[other] < key[row] or (key[other] == key[row] and other < row):
                    break
                order[k] = other
                k -= gap
            order[k] = row
    return order
