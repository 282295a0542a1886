"""Colours and lettering of the app: dark, calm, one accent. All colours are blue, green, red, 0..255."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, U8, AnyArray
from fleetlabel.viewers import draw
from fleetlabel.viewers.palette import Color


def _rgb(code: int) -> Color:
    return code & 255, code >> 8 & 255, code >> 16


BACKGROUND = _rgb(0x121418)
PANEL = _rgb(0x1A1D23)
RAISED = _rgb(0x252A32)
LINE = _rgb(0x31363F)
TEXT = _rgb(0xE4E8ED)
SOFT = _rgb(0xA9B1BC)
FAINT = _rgb(0x6F7884)
ACCENT = _rgb(0xFFD166)  # the selected object, everywhere
GHOST = _rgb(0x7FE3F0)  # what is not kept yet
GOOD = _rgb(0x6FCF97)
PROBLEM = _rgb(0xF2994A)
BEFORE = _rgb(0xB9C0CA)  # the track before the last edit
POINT = _rgb(0x59626E)
POINT_INSIDE = _rgb(0xF1F4F7)


def canvas(width: int, height: int, color: Color = PANEL) -> U8:
    """An empty panel."""
    return np.full((max(height, 1), max(width, 1), 3), color, dtype=np.uint8)


def px(size: float, scale: float) -> int:
    """A length or a size of lettering at the window's scale."""
    return max(round(size * scale), 1)


def rectangle(target: U8, x: float, y: float, width: float, height: float, color: Color) -> None:
    """A filled rectangle."""
    x0, y0 = max(round(x), 0), max(round(y), 0)
    target[y0 : max(round(y + height), y0), x0 : max(round(x + width), x0)] = color


def frame(
    target: U8, x: float, y: float, width: float, height: float, color: Color, thickness: int = 1
) -> None:
    """The border of a rectangle, within it."""
    t = thickness
    rectangle(target, x, y, width, t, color)
    rectangle(target, x, y + height - t, width, t, color)
    rectangle(target, x, y, t, height, color)
    rectangle(target, x + width - t, y, t, height, color)


def text(
    target: U8, words: str, x: float, baseline: float, color: Color, size: int, weight: int = 400
) -> float:
    """Writes a line; returns where it ends. What does not fit is cut off with an ellipsis."""
    draw.write(target, words, x, baseline, color, size, weight)
    return x + draw.text_width(words, size, weight)


def text_right(
    target: U8, words: str, right: float, baseline: float, color: Color, size: int, weight: int = 400
) -> float:
    """Writes a line that ends at ``right``; returns where it begins."""
    left = right - draw.text_width(words, size, weight)
    draw.write(target, words, max(left, 0), baseline, color, size, weight)
    return left


def lines(
    target: U8, segments_px: F64, color: Color, thickness: int = 1, opacity: float = 1.0, dash: bool = False
) -> None:
    """Anti-aliased lines (S, 2, 2) of one colour."""
    owner: AnyArray = np.zeros(len(segments_px), dtype=np.int64)
    if dash:
        segments_px, owner = draw.dashes(segments_px, owner, 5.0, 4.0)
    palette = np.array([color], dtype=np.uint8)
    draw.stroke(target, segments_px, owner, palette, thickness_px=thickness, opacity=opacity)


def ring(polygon_px: F64) -> F64:
    """(K, 2, 2) sides of a closed polygon (K, 2)."""
    return np.stack([polygon_px, np.roll(polygon_px, -1, axis=0)], axis=1)


def dots(target: U8, at_px: F64, color: Color | U8, size: int = 1) -> None:
    """Points (P, 2) as squares; ``color`` is one, or one for each."""
    height, width = target.shape[:2]
    column = np.floor(at_px[:, 0]).astype(np.int64)
    row = np.floor(at_px[:, 1]).astype(np.int64)
    for down in range(size):
        for right in range(size):
            u, v = column + right, row + down
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            chosen = color[inside] if isinstance(color, np.ndarray) else color
            target[v[inside], u[inside]] = chosen
