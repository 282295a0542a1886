"""Which of many things may be near a place in a plane: square cells, each with the rows of what touches it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I32, I64
from fleetlabel.geometry.compiled import kernel


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Square cells in a plane.

    Attributes:
        low: (2,) corner of the first cell.
        size: of a cell.
        shape: (2,) int64 cells along each axis.
        first: (cells + 1,) int64 where each cell's rows begin in ``rows``, and the end.
        rows: (M,) int32, ascending in each cell.
    """

    low: F64
    size: float
    shape: I64
    first: I64
    rows: I32

    @classmethod
    def of_boxes(cls, low: F64, high: F64, size: float, box_low: F64, box_high: F64) -> Cells:
        """Cells from ``low`` to ``high`` (2,), with upright boxes (K, 2) to (K, 2); what is outside is left out."""
        shape = np.maximum(np.ceil((high - low) / size), 1.0).astype(np.int64)
        first, rows = _fill(low, size, shape, box_low, box_high)
        return cls(low, size, shape, first, rows)

    @classmethod
    def around(cls, box_low: F64, box_high: F64, size: float) -> Cells:
        """Cells that hold all of some upright boxes (K, 2) to (K, 2)."""
        low, high = np.zeros(2), np.zeros(2)
        if len(box_low):
            low, high = box_low.min(axis=0), box_high.max(axis=0) + 1e-6
        return cls.of_boxes(low, high, size, box_low, box_high)


@kernel
def cell_at(x: float, y: float, low: F64, size: float, shape: I64) -> int:
    """Number of the cell at a place; -1 outside of all."""
    i, j = np.floor((x - low[0]) / size), np.floor((y - low[1]) / size)
    if i < 0 or j < 0 or i >= shape[0] or j >= shape[1]:
        return -1
    return int(i) * int(shape[1]) + int(j)


@kernel
def _fill(low: F64, size: float, shape: I64, box_low: F64, box_high: F64) -> tuple[I64, I32]:
    """Counts first, then fills in: ``first`` and ``rows`` of :class:`Cells`."""
    k = len(box_low)
    cells = np.empty((k, 4), dtype=np.int64)
    first = np.zeros(shape[0] * shape[1] + 1, dtype=np.int64)
    for row in range(k):
        for axis in range(2):
            cells[row, 2 * axis] = max(0, int(np.floor((box_low[row, axis] - low[axis]) / size)))
            cells[row, 2 * axis + 1] = min(
                shape[axis] - 1, int(np.floor((box_high[row, axis] - low[axis]) / size))
            )
        for i in range(cells[row, 0], cells[row, 1] + 1):
            for j in range(cells[row, 2], cells[row, 3] + 1):
                first[i * shape[1] + j + 1] += 1
    for cell in range(shape[0] * shape[1]):
        first[cell + 1] += first[cell]
    rows = np.empty(first[-1], dtype=np.int32)
    fill = first[:-1].copy()
    for row in range(k):
        for i in range(cells[row, 0], cells[row, 1] + 1):
            for j in range(cells[row, 2], cells[row, 3] + 1):
                rows[fill[i * shape[1] + j]] = row
                fill[i * shape[1] + j] += 1
    return first, rows
