"""2D boxes in a picture: what the pointer takes hold of, and what dragging it does. All in the picture's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I64

Xyxy = tuple[float, float, float, float]

SMALLEST_PX = 2.0


@dataclass(frozen=True, slots=True)
class Handle2D:
    """Edges (columns of xyxy) that the pointer took hold of; all four for the box itself."""

    edges: tuple[int, ...]


def handle_at(xyxy_px: Xyxy, u: float, v: float, reach_px: float) -> Handle2D | None:
    """What of a box is within reach of the pointer: two edges at a corner, one edge, or its inside."""
    x1, y1, x2, y2 = xyxy_px
    if not (x1 - reach_px <= u <= x2 + reach_px and y1 - reach_px <= v <= y2 + reach_px):
        return None
    # In a box smaller than the reach, the nearer of two edges.
    horizontal = [(abs(u - x1), 0), (abs(u - x2), 2)]
    vertical = [(abs(v - y1), 1), (abs(v - y2), 3)]
    held = tuple(edge for off, edge in (min(horizontal), min(vertical)) if off <= reach_px)
    return Handle2D(tuple(sorted(held)) or (0, 1, 2, 3))


def dragged(xyxy_px: Xyxy, handle: Handle2D, du: float, dv: float, width_px: int, height_px: int) -> Xyxy:
    """The box after its handle was moved, within the picture and never turned inside out."""
    box = np.array(xyxy_px, dtype=np.float64)
    if len(handle.edges) == 4:
        du = float(np.clip(du, -box[0], width_px - box[2]))
        dv = float(np.clip(dv, -box[1], height_px - box[3]))
        box += [du, dv, du, dv]
    else:
        for edge in handle.edges:
            box[edge] += dv if edge % 2 else du
        box = np.clip(box, 0.0, [width_px, height_px, width_px, height_px])
        for low in (0, 1):
            if box[low + 2] - box[low] < SMALLEST_PX:
                if low in handle.edges:
                    box[low] = max(box[low + 2] - SMALLEST_PX, 0.0)
                box[low + 2] = max(box[low + 2], box[low] + SMALLEST_PX)
    x1, y1, x2, y2 = box.tolist()
    return (x1, y1, x2, y2)


def boxes_under(xyxy_px: F64, u: float, v: float, reach_px: float) -> I64:
    """Rows of the boxes (N, 4) under the pointer, the smallest first."""
    inside = (
        (xyxy_px[:, 0] - reach_px <= u)
        & (u <= xyxy_px[:, 2] + reach_px)
        & (xyxy_px[:, 1] - reach_px <= v)
        & (v <= xyxy_px[:, 3] + reach_px)
    )
    rows = np.flatnonzero(inside)
    area = np.prod(xyxy_px[rows, 2:] - xyxy_px[rows, :2], axis=1)
    return rows[np.argsort(area, kind="stable")]
