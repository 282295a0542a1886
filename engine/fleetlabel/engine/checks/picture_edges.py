"""How much of an edge there is at every place of a picture, sharp and ever more blurred, for edges of a lidar to find.

Gradients are divided by how strong they are around, so that a wall of bricks does not outshine a lamp post. A blurred
level is kept at a size that goes with its blur.
"""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.engine.checks.lidar_edges import DEPTH, PAINT
from fleetlabel.geometry.arrays import F32, F64, I64, U8
from fleetlabel.geometry.compiled import kernel

LEVELS = (8, 4, 2, 1)  # pixels of the picture per pixel of the level, coarse to fine
_BLUR_PX = 2.5  # of the level itself
_AROUND_PX = 61
_GREY = 8.0  # added to the gradients around: noise on a clear sky is no edge
_TOP = 2.0  # times what is around
_PER_GREY = _TOP / 255.0
CHANNELS = (DEPTH, PAINT)


def edge_levels(grey: U8) -> tuple[U8, ...]:
    """The levels of a grey picture (H, W): (2, H / n, W / n) each, 255 for ``_TOP``, for depth and for paint.

    Edges of depth are crossed sideways and want gradients across; lines on the ground lie any way.
    """
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    across = np.abs(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3))
    down = np.abs(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3))
    around = cv2.boxFilter(across + down, -1, (_AROUND_PX, _AROUND_PX)) + _GREY
    channels = [np.minimum(value / around, _TOP) for value in (across, np.hypot(across, down))]
    return tuple(np.stack([_level(channel, step) for channel in channels]) for step in LEVELS)


def _level(channel: F32, step: int) -> U8:
    height, width = channel.shape
    if step > 1:
        size = (max(width // step, 1), max(height // step, 1))
        channel = cv2.resize(channel, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(channel, (0, 0), _BLUR_PX)
    level: U8 = np.round(blurred / _PER_GREY).astype(np.uint8)
    return level


@kernel
def strengths(
    levels: U8, step: int, moment: I64, channel: I64, pixel: F64, jacobian: F64, change: F64
) -> tuple[F64, F64]:
    """What levels (M, 2, H, W) of M pictures have at places (N, 2), and how that grows (N, K) with K unknowns.

    Args:
        step: pixels of the picture per pixel of the level.
        pixel: (N, 2) places in the picture, and ``jacobian`` (N, 2, K) their derivatives.
        change: (K,) of the unknowns.

    Bilinear, zero outside.
    """
    n, unknowns = jacobian.shape[0], jacobian.shape[2]
    height, width = levels.shape[2], levels.shape[3]
    value, pull = np.zeros(n), np.zeros((n, unknowns))
    for i in range(n):
        u, v = pixel[i, 0], pixel[i, 1]
        for k in range(unknowns):
            u += jacobian[i, 0, k] * change[k]
            v += jacobian[i, 1, k] * change[k]
        x, y = u / step - 0.5, v / step - 0.5
        if not (0 <= x < width - 1 and 0 <= y < height - 1):
            continue
        column, row = int(x), int(y)
        fx, fy = x - column, y - row
        picture = levels[moment[i], channel[i]]
        a, b = float(picture[row, column]), float(picture[row, column + 1])
        c, d = float(picture[row + 1, column]), float(picture[row + 1, column + 1])
        top, bottom = a + fx * (b - a), c + fx * (d - c)
        value[i] = (top + fy * (bottom - top)) * _PER_GREY
        across = ((b - a) * (1 - fy) + (d - c) * fy) * _PER_GREY / step
        down = (bottom - top) * _PER_GREY / step
        for k in range(unknowns):
            pull[i, k] = across * jacobian[i, 0, k] + down * jacobian[i, 1, k]
    return value, pull
