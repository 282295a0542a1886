"""How much of an edge there is at every place of a picture, sharp and ever more blurred, for edges of a lidar to find.

Gradients are divided by how strong they are around, so that a wall of bricks does not outshine a lamp post. A blurred
level is kept at a size that goes with its blur.
"""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.engine.checks.lidar_edges import DEPTH, PAINT
from fleetlabel.geometry.arrays import F32, F64, I64, U8

LEVELS = (8, 4, 2, 1)  # pixels of the picture per pixel of the level, coarse to fine
_BLUR_PX = 2.5  # of the level itself
_AROUND_PX = 61
_GREY = 8.0  # added to the gradients around: noise on a clear sky is no edge
_TOP = 2.0  # times what is around
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
    level: U8 = np.round(blurred * (255.0 / _TOP)).astype(np.uint8)
    return level


def sample(levels: U8, moment: I64, channel: I64, uv: F64) -> tuple[F64, F64]:
    """What levels (M, 2, H, W) of M pictures have at places (N, 2) in pixels of the level, and its slopes (N, 2).

    Bilinear, zero outside.
    """
    height, width = levels.shape[2:]
    x, y = uv[:, 0] - 0.5, uv[:, 1] - 0.5
    inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
    column, row = x.astype(np.int64), y.astype(np.int64)
    fx, fy = x - column, y - row
    flat = levels.reshape(-1)
    at = ((moment * levels.shape[1] + channel) * height + row) * width + column
    a, b = flat[at].astype(np.float64), flat[at + 1].astype(np.float64)
    c, d = flat[at + width].astype(np.float64), flat[at + width + 1].astype(np.float64)
    top, bottom = a + fx * (b - a), c + fx * (d - c)
    slope = np.stack([(b - a) * (1 - fy) + (d - c) * fy, bottom - top], axis=1)
    scale = np.where(inside, _TOP / 255.0, 0.0)
    return (top + fy * (bottom - top)) * scale, slope * scale[:, None]
