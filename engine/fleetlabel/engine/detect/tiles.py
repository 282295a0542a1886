"""Looks at a picture in parts as well: where the overlapping tiles lie, and which of their boxes were cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool

OVERLAP = 0.2  # of a tile, at least: what is small enough to need tiles is then whole in one of them
SMALLEST_PX = 64  # tiles of less show nothing to recognise
GRID_PX = 8  # tiles start on JPEG blocks, so that they are whole pixels at every decoding size
CUT_MARGIN = 0.01  # of a tile: a box that ends this close to an inner border is taken to be cut there


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture that the network looks at.

    Attributes:
        x0, y0, x1, y1: its edges in picture pixels, x1 and y1 exclusive.
        inner: whether the (left, top, right, bottom) edge lies inside the picture, where it may cut an
            object.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def cut(self, xyxy_px: F64) -> Bool:
        """Which boxes (N, 4), in picture pixels, end at an inner edge (N,)."""
        margin_x, margin_y = CUT_MARGIN * (self.x1 - self.x0), CUT_MARGIN * (self.y1 - self.y0)
        at_edge = np.stack(
            [
                xyxy_px[:, 0] < self.x0 + margin_x,
                xyxy_px[:, 1] < self.y0 + margin_y,
                xyxy_px[:, 2] > self.x1 - margin_x,
                xyxy_px[:, 3] > self.y1 - margin_y,
            ],
            axis=1,
        )
        return np.asarray((at_edge & np.array(self.inner)).any(axis=1))


@lru_cache(maxsize=64)
def views(
    width_px: int, height_px: int, tiles: tuple[int, int], network_hw: tuple[int, int] | None
) -> tuple[View, ...]:
    """The full picture first, then its tiles row by row; together they cover it.

    Args:
        width_px, height_px: the picture's size.
        tiles: (columns, rows); (1, 1) is the full picture alone.
        network_hw: the network's input if it is of fixed size: tiles are widened to its shape, since what
            would be padding costs as much as more picture.
    """
    full = View(0, 0, width_px, height_px)
    columns, rows = tiles
    if columns == rows == 1:
        return (full,)
    width, height = _tile_length(width_px, columns), _tile_length(height_px, rows)
    if network_hw is not None:
        aspect = network_hw[1] / network_hw[0]
        width, height = max(width, height * aspect), max(height, width / aspect)
    spans_x, spans_y = _spans(width_px, columns, width), _spans(height_px, rows, height)
    # In a small picture tiles come to lie on one another, or are all of it.
    found = dict.fromkeys(_tile(x, y, full) for y in spans_y for x in spans_x)
    return (full, *(tile for tile in found if tile != full))


def _tile(x: tuple[int, int], y: tuple[int, int], full: View) -> View:
    return View(x[0], y[0], x[1], y[1], (x[0] > 0, y[0] > 0, x[1] < full.x1, y[1] < full.y1))


def _tile_length(length_px: int, count: int) -> float:
    return max(length_px / (count - (count - 1) * OVERLAP), SMALLEST_PX)


def _spans(length_px: int, count: int, tile_px: float) -> list[tuple[int, int]]:
    """Start and stop of ``count`` evenly spread tiles that together reach from edge to edge."""
    count = min(count, 1 + max(int(length_px - tile_px), 0) // GRID_PX)  # each starts on another block
    if count == 1:
        return [(0, length_px)]
    grid = [int(start // GRID_PX) * GRID_PX for start in np.linspace(0, length_px - tile_px, count)]
    stops = [min(-(-int(start + tile_px) // GRID_PX) * GRID_PX, length_px) for start in grid]
    return list(zip(grid, [*stops[:-1], length_px], strict=True))
