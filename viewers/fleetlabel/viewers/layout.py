"""Where everything goes on a sheet: cameras as they look around the vehicle, the ground view beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

# A camera looks ahead (or back) if its axis is less than this off the vehicle's own.
_STRAIGHT_RAD = np.radians(20)
_GROUND_SHARE = 0.36
_ASPECT = 16 / 9


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle of the sheet in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of these pixels in a picture."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True, slots=True)
class Layout:
    """Places on a sheet.

    Attributes:
        width, height: of the sheet, even numbers, as video needs them.
        scale: of lettering and lines; 1 at 1920 pixels width.
        header, footer: of title and legend.
        cameras: one per camera, in the order given.
        ground: of the view from above, if there is one.
    """

    width: int
    height: int
    scale: float
    header: Place
    footer: Place
    cameras: tuple[Place, ...]
    ground: Place | None


def arrange(
    width_px: int, azimuths_rad: Sequence[float], aspects: Sequence[float], with_ground: bool
) -> Layout:
    """Fits cameras, and the ground view, into a sheet of the given width and about 16:9.

    Args:
        azimuths_rad: where each camera looks, 0 forward, positive left.
        aspects: width over height of each camera's pictures.
        with_ground: whether there is a ground view; it goes beside the cameras.
    """
    width = width_px - width_px % 2
    scale = width / 1920
    gap, header, footer = round(12 * scale), round(46 * scale), round(38 * scale)
    inner_w = width - 2 * gap
    inner_h = round(width / _ASPECT) - header - footer
    n = len(azimuths_rad)
    aspect = float(np.median(aspects)) if n else _ASPECT
    columns, cell_w = _columns(n, aspect, inner_w * (1 - _GROUND_SHARE * with_ground), inner_h, gap)
    cell_h, rows = round(cell_w / aspect), -(-n // columns)
    grid_w, grid_h = columns * (cell_w + gap), rows * (cell_h + gap) - gap
    if with_ground:
        content_h = max(grid_h, round(inner_w * _GROUND_SHARE)) if n else inner_h
        ground_x = gap + (grid_w if n else 0)
        ground = Place(ground_x, header, width - gap - ground_x, content_h)
    else:
        content_h, ground = max(grid_h, 0), None
    left = gap if with_ground else (width - grid_w + gap) // 2
    order = camera_order(azimuths_rad, columns)
    cells = {
        camera: Place(
            left + slot % columns * (cell_w + gap), header + slot // columns * (cell_h + gap), cell_w, cell_h
        )
        for slot, camera in enumerate(order)
        if camera is not None
    }
    height = header + content_h + footer
    height += height % 2
    return Layout(
        width=width,
        height=height,
        scale=scale,
        header=Place(gap, 0, inner_w, header),
        footer=Place(gap, header + content_h, inner_w, footer),
        cameras=tuple(cells[row] for row in range(n)),
        ground=ground,
    )


def camera_order(azimuths_rad: Sequence[float], columns: int) -> list[int | None]:
    """Cameras in reading order on a grid; None is a cell left empty.

    On two or three columns what is on the vehicle's left is on the left of the grid, front above rear: on two
    columns the cameras that look ahead and back come first, on three they are the middle one. Otherwise, and
    where that would need another row, cameras go round from the left over the front to the right.
    """
    round_the_vehicle = sorted(range(len(azimuths_rad)), key=lambda row: -azimuths_rad[row])
    lefts, middles, rights = _sides(azimuths_rad)
    if columns == 2:
        pairs = zip_longest(lefts, rights)
        order = [*middles, *[None] * (len(middles) % 2), *(camera for pair in pairs for camera in pair)]
    elif columns == 3:
        triples = zip_longest(lefts, middles, rights)
        order = [camera for triple in triples for camera in triple]
    else:
        return list(round_the_vehicle)
    fits = -(-len(order) // columns) <= -(-len(azimuths_rad) // columns)
    return order if fits else list(round_the_vehicle)


def _sides(azimuths_rad: Sequence[float]) -> tuple[list[int], list[int], list[int]]:
    """Cameras that look to the left, along the vehicle and to the right, each from front to rear."""
    front_first = sorted(range(len(azimuths_rad)), key=lambda row: abs(azimuths_rad[row]))
    middles = [row for row in front_first if abs(np.sin(azimuths_rad[row])) < np.sin(_STRAIGHT_RAD)]
    lefts = [row for row in front_first if row not in middles and azimuths_rad[row] > 0]
    rights = [row for row in front_first if row not in middles and azimuths_rad[row] < 0]
    return lefts, middles, rights


def _columns(n: int, aspect: float, room_w: float, room_h: float, gap: int) -> tuple[int, int]:
    """Number of columns that shows n pictures largest, and the width of each."""
    best = (1, 0)
    for columns in range(1, n + 1):
        rows = -(-n // columns)
        by_width = (room_w - gap * (columns - 1)) / columns
        by_height = (room_h - gap * (rows - 1)) / rows * aspect
        width = int(min(by_width, by_height))
        if width > best[1]:
            best = (columns, width)
    return best
