"""Camera parts from a video: frames are decoded and kept one by one as pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import simplejpeg

from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.engine.ingest.rig_schema import Encoding
from fleetlabel.engine.ingest.video import Video, rgb_of
from fleetlabel.geometry.arrays import I64, U8
from fleetlabel.store import Part, Quarantined, SampleStatus

_JPEG_QUALITY = 95
_PNG_LEVEL = 1  # larger levels cost several times the time for a few percent


def video_part(
    video: Video, rows: I64, start: int, times: Timeline, size_px: tuple[int, int], encoding: Encoding
) -> tuple[Part, list[Quarantined]]:
    """The part of frames ``start:start + len(rows)`` of a camera.

    Args:
        rows: (n,) frame of the video that each frame shows, ascending; -1 none.
        size_px: width and height that the calibration is for.
    """
    pictures = [b""] * len(rows)
    status = np.full(len(rows), SampleStatus.MISSING, dtype=np.uint8)
    quarantined: list[Quarantined] = []
    place = {int(row): at for at, row in enumerate(rows) if row >= 0}
    first, last = (min(place), max(place) + 1) if place else (0, 0)
    for row, frame in video.frames(first, last):
        at = place.get(row)
        if at is None:
            continue
        problem = _fault(frame, row, video, size_px) or times.faults.get(start + at)
        if frame is not None and (frame.width, frame.height) == size_px:
            pictures[at] = _encoded(rgb_of(frame), encoding)
        status[at] = SampleStatus.QUARANTINED if problem else SampleStatus.OK
        if problem:
            quarantined.append(Quarantined(start + at, problem))
    flat: U8 = np.frombuffer(b"".join(pictures), dtype=np.uint8)
    counts = np.array([len(data) for data in pictures], dtype=np.int64)
    timestamps = times.timestamp_ns[start : start + len(rows)]
    return Part({"timestamp_ns": timestamps, "status": status}, counts, {"jpeg": flat}), quarantined


def _encoded(rgb: U8, encoding: Encoding) -> bytes:
    if encoding is Encoding.PNG:
        done, data = cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        assert done
        return data.tobytes()
    picture: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(rgb), quality=_JPEG_QUALITY, colorsubsampling="444"
    )
    return picture


def _fault(frame: Any, row: int, video: Video, size_px: tuple[int, int]) -> str | None:
    if frame is None:
        return (
            f"{video.path} frame {row} cannot be decoded, or is made from one that cannot; restore the video from the "
            "original log"
        )
    if frame.is_corrupt:
        return f"{video.path} frame {row} is damaged; restore the video from the original log"
    if (frame.width, frame.height) != size_px:
        return (
            f"{video.path} frame {row} is {frame.width}x{frame.height} px, but the camera's calibration is for "
            f"{size_px[0]}x{size_px[1]} px; use the original video"
        )
    return None
