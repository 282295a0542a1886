"""JPEG or PNG bytes to pixels, whole or nothing: a damaged picture is an error, never grey mush."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from fleetlabel.geometry.arrays import U8
from fleetlabel.model.errors import DecodeError

MAX_PIXELS = 1 << 28  # 16384 x 16384: a header that claims more is damaged or hostile

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER_BYTES = 33  # signature and the chunk IHDR

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


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a JPEG or PNG, from the header alone.

    Raises:
        DecodeError: this is neither, or its size is beyond reason.
    """
    if not data:
        raise DecodeError("picture has zero bytes, expected a JPEG or PNG: write the file again")
    if data.startswith(_PNG):
        width, height = _png_size(data)
    elif data.startswith(_JPEG):
        width, height = _jpeg_size(data)
    else:
        raise DecodeError(
            f"picture is neither JPEG nor PNG: it starts with {data[:4]!r}, expected {_JPEG!r} or {_PNG[:4]!r}"
        )
    if not 0 < width * height <= MAX_PIXELS:
        raise DecodeError(
            f"picture header claims {width} x {height} pixels, expected at most {MAX_PIXELS} in all"
        )
    return width, height


def decode_picture(data: bytes, *, reduction: int = 1) -> Picture:
    """Decodes a JPEG or PNG to RGB: grey is repeated, 16 bits lose the lower 8, transparency is left out.

    EXIF orientation is ignored, as calibration ignores it.

    Args:
        data: the file's bytes.
        reduction: 1, 2, 4 or 8: decode a JPEG at this fraction of the size, by leaving out high frequencies. PNG knows
            no such thing and comes whole, with ``Picture.reduction`` 1.

    Raises:
        DecodeError: neither JPEG nor PNG, truncated, or damaged in a way that shows.
    """
    width, height = picture_size(data)
    if data.startswith(_PNG):
        reduction = 1
        rgb = _png_pixels(data)
    else:
        minimum_hw = (math.ceil(height / reduction), math.ceil(width / reduction))
        rgb = _jpeg_pixels(data, minimum_hw if reduction > 1 else (0, 0))
    expected = (math.ceil(height / reduction), math.ceil(width / reduction), 3)
    if rgb.shape != expected:
        raise DecodeError(
            f"picture of {width} x {height} pixels decoded to {rgb.shape = }, expected {expected}"
        )
    return Picture(rgb=rgb, width_px=width, height_px=height, reduction=reduction)


def reduction_for(scale: float) -> int:
    """Largest of 1, 2, 4, 8 that leaves enough pixels for a network that sees the picture at ``scale``."""
    return next((r for r in (8, 4, 2) if r * scale <= 1.0), 1)


def _jpeg_size(jpeg: bytes) -> tuple[int, int]:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise DecodeError(f"JPEG header is damaged ({len(jpeg)} bytes): {error}") from error
    return int(width), int(height)


def _jpeg_pixels(jpeg: bytes, minimum_hw: tuple[int, int]) -> U8:
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


def _png_size(png: bytes) -> tuple[int, int]:
    if len(png) < _PNG_HEADER_BYTES or png[12:16] != b"IHDR":
        raise DecodeError(f"PNG header is damaged ({len(png)} bytes): it has no whole IHDR chunk")
    width, height = struct.unpack_from(">II", png, 16)
    return int(width), int(height)


def _png_pixels(png: bytes) -> U8:
    _check_png_chunks(png)
    try:
        rgb = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DecodeError(f"PNG is damaged ({len(png)} bytes): {error}") from error
    if rgb is None:
        raise DecodeError(f"PNG is damaged ({len(png)} bytes): its pixels cannot be unpacked")
    return np.asarray(rgb, dtype=np.uint8)


def _check_png_chunks(png: bytes) -> None:
    """Compares the checksum of every chunk up to the end marker; the decoder forgives what it should not.

    Raises:
        DecodeError: a chunk is damaged, or the file ends before its end marker.
    """
    data = memoryview(png)
    position, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", png, position) if position + 12 <= len(png) else (0, b"")
        end = position + 12 + length
        if not kind or end > len(png):
            raise DecodeError(f"PNG is damaged ({len(png)} bytes): it is cut off before its end marker")
        if zlib.crc32(data[position + 4 : end - 4]) != struct.unpack_from(">I", png, end - 4)[0]:
            raise DecodeError(
                f"PNG is damaged ({len(png)} bytes): the checksum of its {kind!r} chunk at byte {position} is wrong"
            )
        position = end
