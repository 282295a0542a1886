"""Where everything goes in the app's window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleetlabel.viewers.layout import Place


class Panel(StrEnum):
    """Parts of the window."""

    HEADER = "header"
    LIST = "list"
    CAMERAS = "cameras"
    MAIN = "main"
    PANES = "panes"
    TIMELINE = "timeline"
    STRIP = "strip"


@dataclass(frozen=True, slots=True)
class WindowLayout:
    """Places in the window, in its pixels.

    Attributes:
        scale: of lettering and lines; 1 at 1600x1000.
        places: of the panels.
        filter: of the field above the list.
        tiles: of the cameras' small pictures within the panel of cameras.
        panes: of the top, side and rear view within their panel.
    """

    scale: float
    places: dict[Panel, Place]
    filter: Place
    tiles: dict[str, Place]
    panes: tuple[Place, Place, Place]

    def panel_at(self, x: float, y: float) -> Panel | None:
        """The panel under a pixel of the window."""
        for panel, place in self.places.items():
            if place.x <= x < place.x + place.width and place.y <= y < place.y + place.height:
                return panel
        return None


def arrange_window(
    width: int, height: int, cameras: Sequence[str], aspects: Sequence[float], scaling: float = 1.0
) -> WindowLayout:
    """The default window, scaled.

    Args:
        cameras: names, in the order in which they are shown from left to right.
        aspects: width over height of each camera's pictures.
        scaling: of the screen; lettering grows with it.
    """
    scale = max(min(width / 1600, height / 1000), 0.6) if scaling == 1.0 else scaling
    gap = max(round(4 * scale), 1)
    header, left = round(36 * scale), round(216 * scale)
    body_x, body_w = left + gap, width - left - gap
    n = max(len(cameras), 1)
    tile_w = (body_w - gap * (n - 1)) // n
    aspect = min(aspects) if aspects else 16 / 9
    tile_h = min(round(tile_w / aspect), round(0.2 * height)) if cameras else 0
    row_y = header + gap
    timeline_h, strip_h = round(128 * scale), round(104 * scale)
    main_y = row_y + tile_h + (gap if cameras else 0)
    bottom = height - timeline_h - strip_h - gap
    main_h = max(bottom - gap - main_y, round(120 * scale))
    panes_w = min(round(0.235 * body_w), main_h)
    main_w = body_w - panes_w - gap
    pane_h = (main_h - 2 * gap) // 3
    # The field is a widget of its own: what overlaps is drawn in the order of clicks.
    field = Place(gap, row_y, left - gap, round(26 * scale))
    list_y = field.y + field.height + gap
    places = {
        Panel.HEADER: Place(0, 0, width, header),
        Panel.LIST: Place(0, list_y, left, height - list_y),
        Panel.CAMERAS: Place(body_x, row_y, body_w, max(tile_h, 1)),
        Panel.MAIN: Place(body_x, main_y, main_w, main_h),
        Panel.PANES: Place(body_x + main_w + gap, main_y, panes_w, main_h),
        Panel.TIMELINE: Place(body_x, bottom, body_w, timeline_h),
        Panel.STRIP: Place(body_x, bottom + timeline_h + gap, body_w, strip_h),
    }
    tiles = {name: Place(k * (tile_w + gap), 0, tile_w, max(tile_h, 1)) for k, name in enumerate(cameras)}
    panes = tuple(Place(0, k * (pane_h + gap), panes_w, pane_h) for k in range(3))
    return WindowLayout(scale, places, field, tiles, (panes[0], panes[1], panes[2]))


@dataclass(frozen=True, slots=True)
class ListLayout:
    """Heights within the list's panel, from its top."""

    rows_y: int
    row_height: int
    capacity: int
    foot_y: int


def arrange_list(layout: WindowLayout) -> ListLayout:
    """Title, rows, and the queue below them."""
    place, scale = layout.places[Panel.LIST], layout.scale
    row, rows_y = round(24 * scale), round(38 * scale)
    foot = place.height - round(372 * scale)
    capacity = max((foot - rows_y - round(6 * scale)) // row, 1)
    return ListLayout(rows_y, row, capacity, foot)


def timeline_span(layout: WindowLayout) -> tuple[float, float]:
    """Where the frames begin in the timeline's panel, and how wide they are in all."""
    label = 92 * layout.scale
    return label, layout.places[Panel.TIMELINE].width - label - 14 * layout.scale


def frame_at(layout: WindowLayout, x: float, n_frames: int) -> int:
    """The frame at a place of the timeline's panel."""
    start, width = timeline_span(layout)
    return min(max(int((x - start) / width * n_frames), 0), n_frames - 1)


def strip_cells(layout: WindowLayout, frames: Sequence[int], frame: int) -> list[tuple[int, Place]]:
    """Frames whose crops the strip shows, the one on the screen in the middle if there are more than fit."""
    place, scale = layout.places[Panel.STRIP], layout.scale
    gap, top = round(3 * scale), round(20 * scale)
    height = place.height - top - gap
    width = round(0.92 * height)
    start = round(2.9 * height)  # all frames on top of one another come first
    count = max((place.width - start) // (width + gap), 1)
    nearest = min(range(len(frames)), key=lambda k: abs(frames[k] - frame)) if len(frames) else 0
    first = min(max(nearest - count // 2, 0), max(len(frames) - count, 0))
    return [
        (frames[k], Place(start + (k - first) * (width + gap), top, width, height))
        for k in range(first, min(first + count, len(frames)))
    ]


def fit_picture(place: Place, width_px: int, height_px: int) -> Place:
    """Where a picture lies in a place, as large as it fits, in the middle."""
    zoom = min(place.width / width_px, place.height / height_px)
    width, height = max(round(width_px * zoom), 1), max(round(height_px * zoom), 1)
    return Place(place.x + (place.width - width) // 2, place.y + (place.height - height) // 2, width, height)
