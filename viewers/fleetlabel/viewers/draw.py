"""Strokes, fills and lettering on a picture held in memory.

A canvas is (H, W, 3) uint8 in blue, green, red, and is drawn on in place; it may be a window of a larger one.
Coordinates count pixel edges, so that (0, 0) is the upper left corner of the canvas.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F64, I64, U8, AnyArray, Bool
from fleetlabel.viewers.palette import BACKGROUND, TEXT, Color, luminance

# cv2 takes sub-pixel coordinates as integers with this many binary places.
_SHIFT = 4
# A label that others cover by more than this is left out: two unreadable labels are worth less than one.
_MAX_COVERED = 0.2


def stroke(
    canvas: U8,
    segments_px: F64,
    color: AnyArray,
    palette: U8,
    *,
    thickness_px: int = 1,
    opacity: float = 1.0,
) -> None:
    """Draws anti-aliased lines.

    Args:
        segments_px: (S, 2, 2) ends.
        color: (S,) row of ``palette`` for each.
        palette: (K, 3) colours.
    """
    if not len(segments_px):
        return
    target = canvas.copy() if opacity < 1 else canvas
    fixed = _fixed(segments_px)
    for row in np.unique(color):
        chosen = fixed[color == row]
        cv2.polylines(target, chosen, False, palette[row].tolist(), thickness_px, cv2.LINE_AA, _SHIFT)
    _blend(canvas, target, opacity)


def fill(canvas: U8, polygons_px: F64, color: AnyArray, palette: U8, *, opacity: float) -> None:
    """Fills polygons (N, corners, 2), row ``color`` (N,) of ``palette`` each; they may overlap."""
    if not len(polygons_px):
        return
    target = canvas.copy()
    fixed = _fixed(polygons_px)
    for row in np.unique(color):
        for polygon in fixed[color == row]:
            cv2.fillConvexPoly(target, polygon, palette[row].tolist(), cv2.LINE_AA, _SHIFT)
    _blend(canvas, target, opacity)


def dashes(segments_px: F64, owner: AnyArray, on_px: float, off_px: float) -> tuple[F64, AnyArray]:
    """Cuts segments (S, 2, 2) into dashes, each keeping the ``owner`` (S,) of its segment."""
    length = np.linalg.norm(segments_px[:, 1] - segments_px[:, 0], axis=1)
    count = np.maximum(np.ceil(length / (on_px + off_px)).astype(np.int64), 1)
    segment = np.repeat(np.arange(len(segments_px)), count)
    number = np.arange(len(segment)) - np.repeat(np.cumsum(count) - count, count)
    start = number * (on_px + off_px)
    span = np.stack([start, np.minimum(start + on_px, length[segment])], axis=1)
    span = np.minimum(span / np.maximum(length[segment], 1e-9)[:, None], 1.0)
    ends = segments_px[segment]
    return ends[:, :1] + span[:, :, None] * (ends[:, 1:] - ends[:, :1]), owner[segment]


def rectangles(xyxy_px: F64) -> F64:
    """The four sides (4 N, 2, 2) of boxes (N, 4), box by box."""
    x1, y1, x2, y2 = np.moveaxis(xyxy_px, -1, 0)
    ring = np.stack([x1, y1, x2, y1, x2, y2, x1, y2, x1, y1], axis=-1).reshape(-1, 5, 2)
    return np.stack([ring[:, :-1], ring[:, 1:]], axis=2).reshape(-1, 2, 2)


def brackets(xyxy_px: F64, share: float, longest_px: float) -> F64:
    """The corners of boxes (N, 4) as eight short lines each (8 N, 2, 2), box by box."""
    sides = rectangles(xyxy_px)
    length = np.linalg.norm(sides[:, 1] - sides[:, 0], axis=1)
    cut = np.minimum(share, longest_px / np.maximum(length, 1e-9))[:, None]
    step = (sides[:, 1] - sides[:, 0]) * cut
    pieces = [[sides[:, 0], sides[:, 0] + step], [sides[:, 1] - step, sides[:, 1]]]
    return np.stack([np.stack(piece, axis=1) for piece in pieces], axis=1).reshape(-1, 2, 2)


def write(
    canvas: U8, text: str, x: float, baseline: float, color: Color, size_px: int, weight: int = 400
) -> None:
    """Writes one line of text; what would run out of the canvas is cut off with an ellipsis."""
    fitting = elide(text, canvas.shape[1] - x, size_px, weight)
    if fitting:
        cv2.putText(canvas, fitting, (round(x), round(baseline)), color, _font(), size_px, weight)


@cache
def text_width(text: str, size_px: int, weight: int = 400) -> int:
    """Width of one line of text in pixels."""
    _, _, width, _ = cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), _font(), size_px, weight)
    return int(width)


def elide(text: str, room_px: float, size_px: int, weight: int = 400) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis; empty if not even that does."""
    if text_width(text, size_px, weight) <= room_px:
        return text
    for end in range(len(text) - 1, 0, -1):
        if text_width(text[:end] + "…", size_px, weight) <= room_px:
            return text[:end].rstrip() + "…"
    return ""


def wrap_lines(text: str, room_px: float, size_px: int, max_lines: int) -> list[str]:
    """The text broken at spaces into lines that fit; the last one is elided if there is more."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size_px) <= room_px or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > max_lines:
        lines[max_lines - 1] = " ".join(lines[max_lines - 1 :])
    return [elide(line, room_px, size_px) for line in lines[:max_lines]]


def tag(canvas: U8, text: str, x: int, y: int, color: Color, size_px: int) -> None:
    """A label on a plate of ``color``, its upper left corner at (x, y); see :func:`tag_size`."""
    width, height = tag_size(text, size_px)
    cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), color, cv2.FILLED)
    ink = BACKGROUND if luminance(np.array(color)) > 100 else TEXT
    left = x + (width - text_width(text, size_px, 600)) // 2
    cv2.putText(canvas, text, (left, y + round(0.93 * size_px) + 1), ink, _font(), size_px, 600)


def tag_size(text: str, size_px: int) -> tuple[int, int]:
    """Width and height of :func:`tag`."""
    return text_width(text, size_px, 600) + 5, round(1.1 * size_px) + 3


def place_tags(
    anchors_px: F64, sizes_px: I64, taken_px: F64, width_px: int, height_px: int
) -> tuple[I64, Bool]:
    """Puts labels near the things they name so that they stay readable; the first have first choice.

    They are placed one after the other, as each place depends on those before it.

    Args:
        anchors_px: (N, 4) x1 y1 x2 y2 of what is named.
        sizes_px: (N, 2) width and height of the labels.
        taken_px: (T, 4) places that are taken already.
        width_px, height_px: of the canvas, which labels do not leave.

    Returns:
        Upper left corners (N, 2), and which labels (N,) found a place.
    """
    taken = np.concatenate([taken_px, np.zeros((len(anchors_px), 4))])
    corners = _tag_candidates(anchors_px, sizes_px, width_px, height_px)
    found = np.zeros(len(anchors_px), dtype=bool)
    position = np.zeros((len(anchors_px), 2), dtype=np.int64)
    used = len(taken_px)
    for row, (options, size) in enumerate(zip(corners, sizes_px, strict=True)):
        low = np.maximum(options[:, None], taken[None, :used, :2])
        high = np.minimum(options[:, None] + size, taken[None, :used, 2:])
        covered = np.prod(np.maximum(high - low, 0), axis=2).sum(axis=1) / max(size[0] * size[1], 1)
        best = int(np.argmin(covered))
        if covered[best] <= _MAX_COVERED:
            found[row], position[row] = True, options[best]
            taken[used] = [*options[best], *(options[best] + size)]
            used += 1
    return position, found


def _tag_candidates(anchors: F64, sizes: I64, width: int, height: int) -> I64:
    """(N, 6, 2) upper left corners, the best first: above, below, inside, beside."""
    x1, y1, x2, y2 = anchors.T
    w, h = sizes.T
    places = [(x1, y1 - h), (x2 - w, y1 - h), (x1, y2), (x1, y1), (x2, y1), (x1 - w, y1)]
    corners = np.round(np.stack([np.stack(place, axis=1) for place in places], axis=1)).astype(np.int64)
    room = np.maximum(np.array([width, height]) - sizes, 0)
    return np.clip(corners, 0, room[:, None])


def _fixed(points_px: F64) -> AnyArray:
    # cv2 counts pixel centres: the middle of the first pixel is its (0, 0) and our (0.5, 0.5).
    return np.round((points_px - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _blend(canvas: U8, painted: U8, opacity: float) -> None:
    if painted is not canvas:
        cv2.addWeighted(painted, opacity, canvas, 1 - opacity, 0, dst=canvas)


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")
