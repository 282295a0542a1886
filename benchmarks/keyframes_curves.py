"""Curves of ``keyframes.py`` as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 900, 520
LEFT, TOP, RIGHT, BOTTOM = 70, 50, 30, 50
COLORS = ((60, 60, 200), (60, 140, 40), (200, 120, 30))
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(path: Path, title: str, curves: Mapping[str, Sequence[float]]) -> None:
    """Draws shares from 0 to 1 over 0, 1, 2, ... into a PNG."""
    picture = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    last = max(len(curve) for curve in curves.values()) - 1
    for tick in range(6):
        _, y = _place(0, tick / 5, last)
        cv2.line(picture, (LEFT, y), (WIDTH - RIGHT, y), (225, 225, 225), 1)
        cv2.putText(picture, f"{tick / 5:.1f}", (LEFT - 45, y + 5), FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    for count in range(0, last + 1, 2):
        x, y = _place(count, 0.0, last)
        cv2.putText(picture, str(count), (x - 6, y + 25), FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(picture, title, (LEFT, TOP - 20), FONT, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    for row, (name, curve) in enumerate(curves.items()):
        color = COLORS[row % len(COLORS)]
        points = np.array([_place(count, share, last) for count, share in enumerate(curve)], dtype=np.int32)
        cv2.polylines(picture, [points], False, color, 2, cv2.LINE_AA)
        at = (WIDTH - RIGHT - 230, HEIGHT - BOTTOM - 20 - 22 * row)
        cv2.putText(picture, name, at, FONT, 0.5, color, 1, cv2.LINE_AA)
    cv2.imwrite(str(path), picture)


def _place(count: float, share: float, last: int) -> tuple[int, int]:
    x = LEFT + count / max(last, 1) * (WIDTH - LEFT - RIGHT)
    y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    return round(x), round(y)
