"""Pictures into network inputs on the device: both axes are resized by a matrix, several pictures at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.detect.config import Interpolation
from fleetlabel.engine.detect.letterbox import Letterbox
from fleetlabel.engine.detect.shrink import area_matrix
from fleetlabel.geometry.arrays import F32

if TYPE_CHECKING:
    import torch


def letterbox_on_device(
    rgb: torch.Tensor, place: Letterbox, interpolation: Interpolation, out: torch.Tensor
) -> None:
    """Writes pictures of one size into their place in network inputs, as ``network_input`` does on the CPU.

    Args:
        rgb: (n, 3, h, w) uint8.
        place: for all of them; what lies around it in ``out`` is left alone.
        interpolation: for shrinking; enlarging is linear with both.
        out: (m, 3, H, W) of the network's type, 0..1; gets the first m <= n pictures.
    """
    height, width = place.resized_hw
    seen = rgb.to(out.dtype)  # float16 holds every byte
    if interpolation == "area" and height <= rgb.shape[2] and width <= rgb.shape[3]:
        shape: Interpolation = "area"
    else:
        shape = "linear"
    down = _matrix_on(shape, rgb.shape[2], height, 1 / 255, out)
    across = _matrix_on(shape, rgb.shape[3], width, 1.0, out)
    resized = down @ seen @ across.T
    out[:, :, place.top : place.top + height, place.left : place.left + width] = resized[: len(out)]


def linear_matrix(source: int, target: int) -> F32:
    """Linear interpolation between pixel centres along one axis, (target, source) (OpenCV's INTER_LINEAR)."""
    centre = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    low = np.minimum(centre.astype(np.int64), max(source - 2, 0))
    share = centre - low
    matrix = np.zeros((target, source), dtype=np.float32)
    rows = np.arange(target)
    matrix[rows, low] = 1 - share
    matrix[rows, np.minimum(low + 1, source - 1)] += share
    return matrix


def _matrix_on(
    shape: Interpolation, source: int, target: int, factor: float, like: torch.Tensor
) -> torch.Tensor:
    return _cached(shape, source, target, factor, like.device, like.dtype)


@lru_cache(maxsize=64)
def _cached(
    shape: Interpolation, source: int, target: int, factor: float, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    import torch

    matrix = area_matrix(source, target) if shape == "area" else linear_matrix(source, target)
    return torch.from_numpy(matrix * np.float32(factor)).to(device, dtype)
