"""Video in messages, one picture each, as a file that ``video`` indexes: message i is the file's frame i.

Foxglove's CompressedVideo holds one picture per message, H.264 or H.265 in Annex B, without pictures that are shown in
another order than they come in. The stream is copied into a container, undecoded, in ``FLEETLABEL_SCRATCH``.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.fetching import scratch_folder
from fleetlabel.engine.ingest.video import Video, open_video
from fleetlabel.geometry.arrays import I64
from fleetlabel.model.errors import SourceError
from fleetlabel.store import durable

_DEMUXERS = {"h264": "h264", "h265": "hevc"}
_PERIOD_MS = 40  # any will do: a frame is found by its place


def video_of_messages(identity: object, format: str, pictures: Iterable[bytes], where: str) -> Video:
    """The video that messages make.

    Args:
        identity: of files and topic as they are: the same gives the same file again.
        format: as the messages call it.
        pictures: content of each message, in order; empty for one that cannot be read.

    Raises:
        SourceError: PyAV is not installed, the codec is another, or messages and pictures are not one to one.
    """
    if format not in _DEMUXERS:
        raise SourceError(
            f"{where} is {format[:20]!r} video, expected h264 or h265; record it as one of them"
        )
    name = hashlib.sha256(repr((identity, format)).encode()).hexdigest()[:24]
    folder = scratch_folder() / name
    path = folder / "video.mkv"
    with durable.write_errors(path):
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = folder / f".{secrets.token_hex(4)}"
            try:
                _mux(pictures, _DEMUXERS[format], partial, where)
                partial.rename(path)
            finally:
                partial.unlink(missing_ok=True)
    return open_video(path)


def messages_of_frames(video: Video) -> I64:
    """Message (N,) that each frame of :func:`video_of_messages` came in; one without a picture has no frame."""
    period = video.time_base * 1000 / _PERIOD_MS
    return np.array([round(pts * period) for pts in video.pts.tolist()], dtype=np.int64)


def _mux(pictures: Iterable[bytes], demuxer: str, path: Path, where: str) -> None:
    try:
        import av
    except ImportError as error:
        raise SourceError(
            f"{where} is video, which needs PyAV; install it with `pip install 'fleetlabel[video]'`"
        ) from error
    stream = path.with_name(f"{path.name}-raw")
    try:
        sizes: list[int] = []
        with stream.open("wb") as raw:
            for picture in pictures:
                raw.write(picture)
                sizes.append(len(picture))
        with (
            av.open(str(stream), format=demuxer) as source,
            av.open(str(path), "w", format="matroska") as made,
        ):
            _copy(source, made, sizes, where)
    except (av.FFmpegError, ValueError) as error:
        raise SourceError(f"{where} cannot be read as {demuxer} ({error}); restore the file") from error
    finally:
        stream.unlink(missing_ok=True)


def _copy(source: Any, made: Any, sizes: list[int], where: str) -> None:
    """Packets of the stream, each at the place of the message in which it begins."""
    template = source.streams.video[0]
    target = made.add_stream_from_template(template)
    ends, total = [], 0
    for size in sizes:
        total += size
        ends.append(total)
    row = position = 0
    for packet in source.demux(template):
        if not packet.size:
            continue
        while row < len(ends) and position >= ends[row]:
            row += 1
        position += packet.size
        if row >= len(ends) or position > ends[row]:
            raise SourceError(
                f"{where}: a picture is in more than one message, so nobody can tell which message is which; record it "
                "with one picture per message"
            )
        packet.stream = target
        packet.time_base = template.time_base
        ticks = round(row * _PERIOD_MS / 1000 / template.time_base)
        packet.pts = packet.dts = ticks
        made.mux(packet)
