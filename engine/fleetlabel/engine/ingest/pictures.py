"""Camera parts: picture files copied byte for byte after a look at their headers. Nothing is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.geometry.arrays import U8
from fleetlabel.store import Part, Quarantined, SampleStatus

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_HEADER_BYTES = 1 << 18


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels that a JPEG or PNG file declares, None if it cannot be told."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError:
        return None
    size, _ = _header(head)
    return size


def camera_part(
    paths: Sequence[Path | None], start: int, times: Timeline, size_px: tuple[int, int]
) -> tuple[Part, list[Quarantined]]:
    """The part of frames ``start:start + len(paths)`` of a camera.

    Args:
        paths: the picture of each frame, None where the log has none.
        size_px: width and height that the calibration is for.
    """

    def read(frame: int) -> tuple[bytes, str | None] | None:
        path = paths[frame - start]
        return None if path is None else _read(path, size_px)

    return picture_part(read, start, start + len(paths), times)


def picture_part(
    read: Callable[[int], tuple[bytes, str | None] | None], start: int, stop: int, times: Timeline
) -> tuple[Part, list[Quarantined]]:
    """The part of frames ``start:stop`` of a camera.

    Args:
        read: gives a frame's picture and what is wrong with it, None where the log has none.
    """
    pictures: list[bytes] = []
    status = np.full(stop - start, SampleStatus.MISSING, dtype=np.uint8)
    quarantined: list[Quarantined] = []
    for row, frame in enumerate(range(start, stop)):
        found = read(frame)
        if found is None:
            pictures.append(b"")
            continue
        data, problem = found
        problem = problem or times.faults.get(frame)
        pictures.append(data)
        status[row] = SampleStatus.QUARANTINED if problem else SampleStatus.OK
        if problem:
            quarantined.append(Quarantined(frame, problem))
    timestamps = times.timestamp_ns[start:stop]
    flat: U8 = np.frombuffer(b"".join(pictures), dtype=np.uint8)
    counts = np.array([len(data) for data in pictures], dtype=np.int64)
    return Part({"timestamp_ns": timestamps, "status": status}, counts, {"jpeg": flat}), quarantined


def picture_fault(data: bytes, size_px: tuple[int, int]) -> str | None:
    """Why a JPEG or PNG cannot be whole, None if it may be: headers are checked, not pixels."""
    if not data:
        return "is empty (0 bytes)"
    if not data.startswith((_JPEG, _PNG)):
        return f"is neither JPEG nor PNG (it begins with {data[:4].hex(' ')})"
    size, pixels_at = _header(data)
    if size is None:
        return f"ends within its header after {len(data)} bytes"
    end = _JPEG_END if data.startswith(_JPEG) else b"IEND"
    # A marker cannot occur inside JPEG's entropy-coded data, so one after the header is the picture's end.
    if data.rfind(end, pixels_at) < 0:
        return f"is cut off after {len(data)} bytes: the end of the picture is missing"
    if size != size_px:
        return (
            f"is {size[0]}x{size[1]} px, but the camera's calibration is for {size_px[0]}x{size_px[1]} px; "
            "use the original pictures"
        )
    return None


def _read(path: Path, size_px: tuple[int, int]) -> tuple[bytes, str | None]:
    try:
        data = path.read_bytes()
    except OSError as error:
        return b"", f"{path} cannot be read ({error.strerror or error}); restore it from the original log"
    problem = picture_fault(data, size_px)
    return data, None if problem is None else f"{path} {problem}; restore it from the original log"


def _header(data: bytes) -> tuple[tuple[int, int] | None, int]:
    """Width and height of a JPEG or PNG, None if the header is not whole, and where the pixels begin."""
    if data.startswith(_PNG):
        if len(data) < 33 or data[12:16] != b"IHDR":
            return None, len(data)
        width, height = struct.unpack(">II", data[16:24])
        return (width, height), 33
    size, position = None, 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        # SOF0..SOF15 but DHT, JPG and DAC, which share their range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and position + 9 <= len(data):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            size = (width, height)
        position += 2 + max(length, 2)
        if marker == 0xDA:
            return size, position
    return size, len(data)
