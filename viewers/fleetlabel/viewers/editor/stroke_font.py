"""Numbers as lines in the scene: they face the camera and are as large on the screen near and far."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.viewers.editor.orbit import OrbitCamera
from fleetlabel.viewers.editor.perspective import Lines

# Strokes on a grid 4 wide and 6 high, y upwards: corner to corner of each polyline.
_GLYPHS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "0": (((0, 1), (0, 5), (1, 6), (3, 6), (4, 5), (4, 1), (3, 0), (1, 0), (0, 1)),),
    "1": (((1, 5), (2, 6), (2, 0)),),
    "2": (((0, 5), (1, 6), (3, 6), (4, 5), (4, 4), (0, 0), (4, 0)),),
    "3": (((0, 6), (4, 6), (2, 4), (3, 4), (4, 3), (4, 1), (3, 0), (1, 0), (0, 1)),),
    "4": (((3, 0), (3, 6), (0, 2), (4, 2)),),
    "5": (((4, 6), (0, 6), (0, 3), (3, 4), (4, 3), (4, 1), (3, 0), (1, 0), (0, 1)),),
    "6": (((4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0), (3, 0), (4, 1), (4, 2), (3, 3), (1, 3), (0, 2)),),
    "7": (((0, 6), (4, 6), (1, 0)),),
    "8": (
        ((1, 3), (0, 4), (0, 5), (1, 6), (3, 6), (4, 5), (4, 4), (3, 3), (1, 3)),
        ((1, 3), (0, 2), (0, 1), (1, 0), (3, 0), (4, 1), (4, 2), (3, 3)),
    ),
    "9": (((0, 1), (1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 4), (1, 3), (3, 3), (4, 4)),),
    "n": (((0, 0), (0, 4)), ((0, 3), (1, 4), (3, 4), (4, 3), (4, 0))),
    "e": (((0, 2), (4, 2), (4, 3), (3, 4), (1, 4), (0, 3), (0, 1), (1, 0), (3, 0), (4, 1)),),
    "w": (((0, 4), (1, 0), (2, 3), (3, 0), (4, 4)),),
    ".": (((2, 0), (2, 1)),),
}
_ADVANCE, _HEIGHT = 6.0, 6.0


def written(words: str) -> F64:
    """(S, 2, 2) strokes of a word, centred, a unit high; letters that there are no strokes for are blanks."""
    strokes = [np.empty((0, 2, 2))]
    for number, letter in enumerate(words):
        for line in _GLYPHS.get(letter, ()):
            points = np.array(line, dtype=np.float64) + np.array([number * _ADVANCE, 0.0])
            strokes.append(np.stack([points[:-1], points[1:]], axis=1))
    joined = np.concatenate(strokes)
    return (joined - [(len(words) * _ADVANCE - 2.0) / 2, 0.0]) / _HEIGHT


def facing_lines(
    words: list[str],
    at_m: F64,
    rgb: F64,
    orbit: OrbitCamera,
    height_px: float,
    view_height_px: float,
) -> Lines:
    """Words (N) standing on places (N, 3), in colours (N, 3), ``height_px`` high in the view."""
    ends, colors = [np.empty((0, 3))], [np.empty((0, 3))]
    right, down, _ = orbit.axes
    for word, place, color in zip(words, at_m, rgb, strict=True):
        unit = orbit.metres_per_px(place, view_height_px) * height_px
        strokes = unit * (written(word) + np.array([0.0, 0.6]))
        ends.append((place + strokes[..., :1] * right - strokes[..., 1:] * down).reshape(-1, 3))
        colors.append(np.tile(color, (len(strokes), 1)))
    return Lines(np.concatenate(ends), np.concatenate(colors))
