"""JPEG bytes to pixels, whole or nothing: a damaged picture is an error, never grey mush."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import simplejpeg

from fleetlabel.geometry.arrays import U8
from fleetlabel.model.errors import DecodeError

MAX_PIXELS = 1 << 28  # 16384 x 16384: a header that claims more is damaged or hostile

# libjpeg reports stray bytes after the last row, which many cameras write, in the same breath as real damage.
_HARMLESS = "extraneous bytes before marker"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture, possibly smaller than what was photographed.

    Attributes:
        rgb: (h, w, 3) uint8.
        width_px, height_px: size of the original picture, which boxes are given in.
        reduction: 1, 2, 4 or 8: original pixels per decoded pixel.
    """

    rgb: U8
    width_px: int
    height_px: int
    reduction: int


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        DecodeError: this is not a JPEG, or its size is beyond reason.
    """
    if not jpeg:
        raise DecodeError("picture has zero bytes, expected a JPEG: write the file again")
    if not jpeg.startswith(b"\xff\xd8"):
        raise DecodeError(f"picture is not a JPEG: it starts with {jpeg[:4]!r}, expected b'\\xff\\xd8'")
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise DecodeError(f"JPEG header is damaged ({len(jpeg)} bytes): {error}") from error
    if not 0 < width * height <= MAX_PIXELS:
        raise DecodeError(
            f"JPEG header claims {width} x {height} pixels, expected at most {MAX_PIXELS} in all"
        )
    return int(width), int(height)


def decode_jpeg(jpeg: bytes, *, reduction: int = 1) -> Picture:
    """Decodes a JPEG (colour or grey) to RGB; EXIF orientation is ignored, as calibration ignores it.

    Args:
        jpeg: the file's bytes.
        reduction: 1, 2, 4 or 8: decode at this fraction of the size, by leaving out high frequencies.

    Raises:
        DecodeError: not a JPEG, truncated, or damaged in a way that shows.
    """
    width, height = jpeg_size(jpeg)
    small = (math.ceil(height / reduction), math.ceil(width / reduction))
    rgb = _pixels(jpeg, small if reduction > 1 else (0, 0))
    if rgb.shape != (*small, 3):
        raise DecodeError(
            f"JPEG of {width} x {height} pixels decoded to {rgb.shape = }, expected {(*small, 3)}"
        )
    return Picture(rgb=rgb, width_px=width, height_px=height, reduction=reduction)


def reduction_for(scale: float) -> int:
    """Largest of 1, 2, 4, 8 that leaves enough pixels for a network that sees the picture at ``scale``."""
    return next((r for r in (8, 4, 2) if r * scale <= 1.0), 1)


def _pixels(jpeg: bytes, minimum_hw: tuple[int, int]) -> U8:
    height, width = minimum_hw
    try:
        return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB", min_height=height, min_width=width))
    except ValueError as error:
        if _HARMLESS not in str(error):
            raise DecodeError(f"JPEG is damaged ({len(jpeg)} bytes): {error}") from error
    try:
        return np.asarray(
            simplejpeg.decode_jpeg(jpeg, "RGB", min_height=height, min_width=width, strict=False)
        )
    except ValueError as error:
        raise DecodeError(f"JPEG is damaged ({len(jpeg)} bytes): {error}") from error
