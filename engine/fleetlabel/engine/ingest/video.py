"""Video files by frame number: frame i is exactly the i-th frame that a player would show from the start.

Demuxing once gives the presentation time of every frame and the keyframes; nothing is decoded for that but the first
few frames. A range is decoded from the last keyframe that is shown before it. Frames are found by their presentation
time, never by counting, so B-frames, open groups of pictures, odd and variable frame rates, edit lists and start
offsets make no difference; a frame that cannot be decoded is missing and moves no other. Decoders conceal: what is
decoded after damage looks like a frame and may show anything, so that frames up to the next keyframe are missing, too.

Not done: pictures of streams with gradual decoder refresh instead of keyframes are exact only some frames after the
refresh began; the file's rotation mark is not applied, since a calibration is for the pictures as they are kept.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import I64, U8
from fleetlabel.model.errors import SourceError

_OPEN_VIDEOS = 32
# Decoders that wait to go on where they stopped: as many tasks of one camera run at once.
_IDLE_CURSORS = 2
_REMUX = "write it anew, e.g. `ffmpeg -i in.avi -c:v libx264 -crf 12 -preset fast out.mp4`"


@dataclass(frozen=True, slots=True)
class _Key:
    """A keyframe: its times in the stream's time base, and the first frame that decoding from it gives."""

    pts: int
    dts: int | None
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A video file, indexed.

    Attributes:
        path: the file.
        pts: (N,) int64 presentation times of the frames, ascending, in ``time_base``.
        time_base: seconds.
        size_px: width and height as the stream declares them.
        codec: its name.
    """

    path: Path
    pts: I64
    time_base: Fraction
    size_px: tuple[int, int]
    codec: str
    _keys: tuple[_Key, ...]
    _idle: list[_Cursor] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.pts)

    def times_ns(self) -> I64:
        """(N,) int64 presentation times after the first frame's, rounded to the nearest nanosecond."""
        scale = self.time_base * 1_000_000_000
        first = int(self.pts[0])
        return np.array([round((pts - first) * scale) for pts in self.pts.tolist()], dtype=np.int64)

    def frames(self, start: int, stop: int) -> Iterator[tuple[int, Any | None]]:
        """Frames ``start:stop`` as PyAV's ``VideoFrame``, in order; None for one that cannot be decoded or trusted."""
        if start >= stop:
            return
        cursor = self._cursor(start)
        row = start
        while row < stop:
            found, frame = cursor.next()
            if found is None:
                break
            if found < row:
                continue
            for lost in range(row, min(found, stop)):
                yield lost, None
            row = found
            if row >= stop:
                cursor.put_back(found, frame)
                break
            yield row, frame
            row += 1
        for lost in range(row, stop):
            yield lost, None
        self._give_back(cursor)

    def _cursor(self, row: int) -> _Cursor:
        """A decoder that is about to give a frame at or before ``row``, and none further back than its keyframe."""
        key = self._keys[max(bisect_right([key.row for key in self._keys], row) - 1, 0)]
        with self._lock:
            usable = [cursor for cursor in self._idle if key.row <= cursor.row <= row]
            if usable:
                best = max(usable, key=lambda cursor: cursor.row)
                self._idle.remove(best)
                return best
        return _Cursor(self, key)

    def _give_back(self, cursor: _Cursor) -> None:
        with self._lock:
            self._idle.append(cursor)
            surplus = self._idle.pop(0) if len(self._idle) > _IDLE_CURSORS else None
        if surplus is not None:
            surplus.close()


class _Cursor:
    """A decoder at work: gives the frames from a keyframe to the end of the file in the order of presentation.

    Attributes:
        row: the next frame is this one or a later one.
    """

    def __init__(self, video: Video, key: _Key) -> None:
        self.row = key.row
        self._video = video
        self._container = _open(video.path)
        self._stream = self._container.streams.video[0]
        self._ready: list[tuple[int, Any]] = []
        self._frames = self._decoded(self._packets(key))

    def next(self) -> tuple[int | None, Any]:
        """The number of the next frame, and the frame; (None, None) at the end."""
        found = self._ready.pop() if self._ready else next(self._frames, None)
        if found is None:
            self.row = len(self._video)
            return None, None
        self.row = found[0] + 1
        return found

    def put_back(self, row: int, frame: Any) -> None:
        """Gives a frame again next time."""
        self._ready.append((row, frame))
        self.row = row

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def _packets(self, key: _Key) -> Iterator[Any]:
        """Packets from a keyframe on. Where a container's seek lands behind it, one further back is tried."""
        keys = self._video._keys
        at = keys.index(key)
        for earlier in [*range(at, max(at - 3, 0), -1), None]:
            if earlier is None:
                self._container.close()
                self._container = _open(self._video.path)
                self._stream = self._container.streams.video[0]
            else:
                target = keys[earlier]
                try:
                    offset = target.pts if target.dts is None else target.dts
                    self._container.seek(offset, stream=self._stream)
                except OSError:
                    continue
            packets = _demuxed(self._container, self._stream)
            for packet in packets:
                if packet.pts == key.pts and packet.is_keyframe:
                    return chain([packet], packets)
                if earlier is not None and None not in (packet.dts, key.dts) and packet.dts > key.dts:
                    break
        return iter(())

    def _decoded(self, packets: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        pts, row = self._video.pts, -1
        damage = _Damage()
        for frame in _decoded(self._stream, packets, damage):
            if frame.pts in damage:
                continue
            place = int(np.searchsorted(pts, frame.pts)) if frame.pts is not None else len(pts)
            # Frames before the keyframe need what came before it; those that the index does not have are not shown.
            if place < max(self.row, row + 1) or place >= len(pts) or pts[place] != frame.pts:
                continue
            row = place
            yield place, frame


def open_video(path: Path) -> Video:
    """Indexes a video; the same file is indexed once per process.

    Raises:
        SourceError: PyAV is not installed, the file is no video, is cut off, or has frames without presentation times.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    return _indexed(path, state.st_size, state.st_mtime_ns)


def rgb_of(frame: Any) -> U8:
    """Pixels (H, W, 3) of a decoded frame; unmarked high definition is BT.709, as players take it."""
    from av.video.reformatter import Colorspace

    source = frame.colorspace
    if int(source) == 2:  # AVCOL_SPC_UNSPECIFIED
        source = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    pixels: U8 = frame.to_ndarray(format="rgb24", src_colorspace=source)
    return pixels


@lru_cache(maxsize=_OPEN_VIDEOS)
def _indexed(path: Path, size: int, mtime_ns: int) -> Video:
    with _open(path) as container:
        stream = container.streams.video[0]
        declared, base = int(stream.frames), Fraction(stream.time_base)
        size_px, codec = (int(stream.width), int(stream.height)), str(stream.codec_context.name)
        packets = [
            (packet.pts, packet.dts, bool(packet.is_keyframe), bool(packet.is_discard))
            for packet in _demuxed(container, stream)
        ]
    if len(packets) < declared and _count(path, {"ignore_editlist": "1"}) < declared:
        raise SourceError(
            f"{path} declares {declared} frames but holds {len(packets)}: it is cut off; restore it from the original "
            "log"
        )
    if not packets or any(pts is None for pts, *_ in packets):
        raise SourceError(
            f"{path} ({codec}) has {len(packets)} packets, not all with a presentation time, so nobody can tell which "
            f"frame is which; {_REMUX}"
        )
    keys = [(pts, dts) for pts, dts, is_key, _ in packets if is_key]
    if not keys:
        raise SourceError(f"{path} ({codec}) has no keyframe, so nothing of it can be decoded; {_REMUX}")
    # Frames that come after the first keyframe but are shown before it need a picture that the file does not have,
    # unless the encoder saw to that: only decoding tells.
    leading = {pts for pts, *_ in packets if pts < keys[0][0]}
    shown_early = _shown_before(path, keys[0][0]) if leading else set()
    pts = np.array(
        sorted(
            pts for pts, _, _, hidden in packets if not hidden and (pts not in leading or pts in shown_early)
        ),
        dtype=np.int64,
    )
    if not len(pts) or (np.diff(pts) == 0).any():
        raise SourceError(
            f"{path} ({codec}) has two frames with the same presentation time, or none at all; {_REMUX}"
        )
    rows = np.searchsorted(pts, [key[0] for key in keys])
    rows[0] = 0
    return Video(
        path=path,
        pts=pts,
        time_base=base,
        size_px=size_px,
        codec=codec,
        _keys=tuple(_Key(pts, dts, int(row)) for (pts, dts), row in zip(keys, rows, strict=True)),
    )


def _open(path: Path, options: dict[str, str] | None = None) -> Any:
    try:
        import av
    except ImportError as error:
        raise SourceError(
            f"{path} is a video, which needs PyAV; install it with `pip install 'fleetlabel[video]'`"
        ) from error
    try:
        container = av.open(str(path), options=options or {})
    except (av.FFmpegError, ValueError) as error:
        raise SourceError(
            f"{path} cannot be opened as a video ({error}); restore it from the original log"
        ) from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"{path} has no video stream; name the file with the camera's pictures")
    container.streams.video[0].codec_context.thread_count = 1  # tasks run side by side already
    return container


def _count(path: Path, options: dict[str, str]) -> int:
    with _open(path, options) as container:
        return sum(1 for _ in _demuxed(container, container.streams.video[0]))


def _shown_before(path: Path, pts: int) -> set[int]:
    """Presentation times of the decodable frames that are shown before a time, from the start of the file."""
    shown: set[int] = set()
    with _open(path) as container:
        stream = container.streams.video[0]
        for frame in _decoded(stream, _demuxed(container, stream), _Damage()):
            if frame.pts is None or frame.pts >= pts:
                break
            if not frame.is_corrupt:
                shown.add(frame.pts)
    return shown


def _demuxed(container: Any, stream: Any) -> Iterator[Any]:
    """Packets of a stream; a file that breaks off ends there."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):
            return
        if packet is None:
            return
        if packet.size:
            yield packet


class _Damage:
    """Which frames hang on damaged packets, told by the packets' order alone: where decoding began has no say."""

    def __init__(self) -> None:
        self._damaged = False
        self._clean_from: int | None = None
        self._pts: set[int] = set()

    def __contains__(self, pts: int) -> bool:
        return pts in self._pts

    def note(self, packet: Any, broken: bool) -> None:
        """Takes a packet in the order of decoding; ``broken`` if the decoder refused it."""
        if packet.is_keyframe:
            # What comes after a keyframe but is shown before it may still be made from what was before.
            self._clean_from = packet.pts if self._damaged else None
            self._damaged = False
        self._damaged |= broken or bool(packet.is_corrupt)
        if self._damaged or (self._clean_from is not None and packet.pts < self._clean_from):
            self._pts.add(packet.pts)


def _decoded(stream: Any, packets: Iterator[Any], damage: _Damage) -> Iterator[Any]:
    """Frames in order of presentation; packets that cannot be decoded give none."""
    import av

    for packet in chain(packets, [None]):
        frames, broken = [], False
        try:
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, OSError):
            broken = True
        if packet is not None:
            damage.note(packet, broken)
        yield from frames
