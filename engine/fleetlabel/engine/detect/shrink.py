"""Shrinks a picture by area into a network's input: every pixel counts, in one pass, without rounding to bytes.

OpenCV's INTER_AREA gives the same to its rounding, but takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fleetlabel.geometry.arrays import F32, I64, U8
from fleetlabel.geometry.compiled import HAVE_NUMBA, kernel


@dataclass(frozen=True, slots=True, eq=False)
class _Taps:
    """Which source pixels make a target pixel along one axis: the first, how many, and their weights."""

    first: I64
    count: I64
    weight: F32


def shrink_by_area(rgb: U8, out: F32) -> None:
    """Averages (h, w, 3) uint8 over the areas that the pixels of ``out`` (3, H, W) cover; written as 0..1.

    Args:
        rgb: may be a part of a larger picture.
        out: no larger than ``rgb`` on either axis.
    """
    down, across = _taps(rgb.shape[0], out.shape[1]), _taps(rgb.shape[1], out.shape[2])
    if HAVE_NUMBA:
        # Packed rows, so that the compiler sees contiguous memory and uses vector instructions.
        packed = np.ascontiguousarray(rgb).reshape(rgb.shape[0], -1)
        _shrink(packed, down.first, down.count, down.weight, across.first, across.count, across.weight, out)
        return
    rows = _matrix(down, rgb.shape[0]) @ rgb.reshape(rgb.shape[0], -1).astype(np.float32)
    rows = rows.reshape(out.shape[1], rgb.shape[1], 3)
    np.einsum("ywc,xw->cyx", rows, _matrix(across, rgb.shape[1]) / 255, out=out, optimize=True)


def area_matrix(source: int, target: int) -> F32:
    """The same along one axis as a matrix (target, source); ``target`` is no larger than ``source``."""
    return _matrix(_taps(source, target), source)


@lru_cache(maxsize=64)
def _taps(source: int, target: int) -> _Taps:
    scale = source / target
    edges = np.arange(target + 1) * scale
    edges[-1] = source
    first = np.floor(edges[:-1]).astype(np.int64)
    count = np.ceil(edges[1:] - 1e-9).astype(np.int64) - first
    pixel = first[:, None] + np.arange(int(count.max()))
    overlap = np.minimum(pixel + 1, edges[1:, None]) - np.maximum(pixel, edges[:-1, None])
    weight = np.clip(overlap, 0.0, None)
    return _Taps(first, count, (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32))


def _matrix(taps: _Taps, source: int) -> F32:
    matrix = np.zeros((len(taps.first), source), dtype=np.float32)
    for row, (first, count) in enumerate(zip(taps.first, taps.count, strict=True)):
        matrix[row, first : first + count] = taps.weight[row, :count]
    return matrix


@kernel
def _shrink(
    rgb: U8,  # (h, w * 3)
    row_first: I64,
    row_count: I64,
    row_weight: F32,
    column_first: I64,
    column_count: I64,
    column_weight: F32,
    out: F32,
) -> None:
    line = np.empty(rgb.shape[1], dtype=np.float32)  # one target row, still as wide as the source
    for y in range(out.shape[1]):
        for k in range(row_count[y]):
            weight = row_weight[y, k] * np.float32(1 / 255)
            source = rgb[row_first[y] + k]
            if k == 0:
                for i in range(line.shape[0]):
                    line[i] = weight * source[i]
            else:
                for i in range(line.shape[0]):
                    line[i] += weight * source[i]
        for x in range(out.shape[2]):
            red = green = blue = np.float32(0)
            i = 3 * column_first[x]
            for k in range(column_count[x]):
                weight = column_weight[x, k]
                red += weight * line[i]
                green += weight * line[i + 1]
                blue += weight * line[i + 2]
                i += 3
            out[0, y, x] = red
            out[1, y, x] = green
            out[2, y, x] = blue
