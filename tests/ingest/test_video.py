from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.engine.ingest.rig_schema import Encoding
from fleetlabel.engine.ingest.video import Video, open_video, rgb_of
from fleetlabel.engine.ingest.video_frames import video_part
from fleetlabel.model.errors import SourceError
from fleetlabel.store import SampleStatus

SIZE_PX = (128, 64)
BITS = 12


def numbered(number: int) -> np.ndarray:
    """A picture that carries its number as stripes, which survive any compression, on a moving ramp."""
    picture = np.empty((SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
    picture[:] = ((np.arange(SIZE_PX[0]) + 3 * number) % 64 + 96)[None, :, None]
    for bit in range(BITS):
        picture[8:56, 4 + 10 * bit : 12 + 10 * bit] = 235 if number >> bit & 1 else 20
    return picture


def number_of(picture: np.ndarray) -> int:
    return sum(int(picture[24:40, 6 + 10 * bit : 10 + 10 * bit].mean() > 128) << bit for bit in range(BITS))


def write(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    rate: Fraction = Fraction(30),
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    **context: int,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if time_base is not None:
            stream.codec_context.time_base = time_base
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base or 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(video: Video, start: int, stop: int) -> list[int | None]:
    found = list(video.frames(start, stop))
    assert [row for row, _ in found] == list(range(start, stop))
    return [None if frame is None else number_of(rgb_of(frame)) for _, frame in found]


B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:keyint=12:min-keyint=12:scenecut=0"}
OPEN_GOP = {
    "x264-params": "bframes=3:b-adapt=0:b-pyramid=normal:keyint=15:min-keyint=15:scenecut=0:open-gop=1"
}
VARIABLE = [0, 1, 3, 4, 9, 10, 11, 40, 41, 43, 50, 51, 52, 53, 60, 90, 91, 92, 93, 99]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("b.mp4", {"options": B_FRAMES}),
        ("b.mkv", {"options": B_FRAMES, "rate": Fraction(24000, 1001)}),
        ("open.mp4", {"options": OPEN_GOP, "rate": Fraction(30000, 1001)}),
        ("open.mkv", {"options": OPEN_GOP}),
        ("open.ts", {"options": OPEN_GOP, "rate": Fraction(25, 2)}),
        ("one_gop.mp4", {"options": {"x264-params": "keyint=9999:scenecut=0:bframes=2"}}),
        ("intra.mp4", {"options": {"x264-params": "keyint=1"}}),
        ("part2.mp4", {"codec": "mpeg4", "gop_size": 10, "max_b_frames": 2, "rate": Fraction(25, 2)}),
        ("part2.avi", {"codec": "mpeg4", "gop_size": 10}),
        ("mpeg2.mkv", {"codec": "mpeg2video", "gop_size": 12, "max_b_frames": 2, "rate": Fraction(25)}),
        ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": "keyint=15:bframes=3:open-gop=1:log-level=none"}}),
    ],
)  # fmt: skip
def test_frame_i_is_the_ith_shown_in_any_order_of_ranges(
    tmp_path: Path, name: str, make: dict[str, object]
) -> None:
    count = 53
    video = open_video(write(tmp_path / name, count, **make))  # type: ignore[arg-type]
    assert len(video) == count
    assert numbers(video, 0, count) == list(range(count))
    random = np.random.default_rng(0)
    for _ in range(12):
        start, stop = sorted(random.integers(0, count + 1, 2).tolist())
        assert numbers(video, start, stop) == list(range(start, stop))
    for number in random.permutation(count)[:8].tolist():
        assert numbers(video, number, number + 1) == [number]


def test_a_range_gives_the_very_pixels_of_a_whole_run(tmp_path: Path) -> None:
    path = write(tmp_path / "open.mp4", 50, options=OPEN_GOP)
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray() for frame in container.decode(video=0)]
    video = open_video(path)
    for start in (37, 16, 14, 29, 3):
        for row, frame in video.frames(start, start + 4):
            np.testing.assert_array_equal(frame.to_ndarray(), expected[row])


def test_times_are_the_presentation_times(tmp_path: Path) -> None:
    rate = Fraction(24000, 1001)
    video = open_video(write(tmp_path / "film.mp4", 30, rate=rate, options=B_FRAMES))
    expected = [round(Fraction(row) / rate * 10**9) for row in range(30)]
    np.testing.assert_allclose(video.times_ns(), expected, atol=50_000)  # the container's own time base


def test_variable_rate_keeps_every_frame_at_its_time(tmp_path: Path) -> None:
    base = Fraction(1, 100)
    path = write(
        tmp_path / "vfr.mkv",
        len(VARIABLE),
        pts=VARIABLE,
        time_base=base,
        rate=Fraction(100),
        options=B_FRAMES,
    )
    video = open_video(path)
    assert video.times_ns().tolist() == [10_000_000 * pts for pts in VARIABLE]
    assert numbers(video, 5, 17) == list(range(5, 17))


def test_a_start_offset_moves_times_of_no_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "late.mkv", 20, pts=[row + 90 for row in range(20)], options=B_FRAMES)
    video = open_video(path)
    assert video.times_ns()[0] == 0
    assert numbers(video, 0, 20) == list(range(20))


def remuxed(source: Path, target: Path, keep: slice, **options: str) -> Path:
    """Packets of a video as they are, some left out."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in [packet for packet in old.demux(video=0) if packet.size][keep]:
            packet.stream = stream
            new.mux(packet)
    return target


def test_a_cut_in_the_middle_of_open_groups_begins_with_what_can_be_shown(tmp_path: Path) -> None:
    whole = write(tmp_path / "open.mkv", 50, options=OPEN_GOP)
    with av.open(str(whole)) as container:
        keys = [
            i for i, packet in enumerate(p for p in container.demux(video=0) if p.size) if packet.is_keyframe
        ]
    cut = remuxed(whole, tmp_path / "cut.mkv", slice(keys[1], None))
    with av.open(str(cut)) as container:
        shown = [number_of(rgb_of(frame)) for frame in container.decode(video=0) if not frame.is_corrupt]
    video = open_video(cut)
    assert numbers(video, 0, len(video)) == shown
    assert shown[-1] == 49


def test_a_damaged_frame_is_set_aside_and_moves_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "intra.mp4", 12, codec="mjpeg", rate=Fraction(10))
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    at = content.index(packets[5])
    path.write_bytes(content[:at] + b"\x00" * len(packets[5]) + content[at + len(packets[5]) :])
    video = open_video(path)
    found = numbers(video, 0, 12)
    assert found[5] is None
    assert found[:5] + found[6:] == [*range(5), *range(6, 12)]
    times = Timeline(np.arange(12, dtype=np.int64))
    part, quarantined = video_part(video, np.arange(12), 0, times, SIZE_PX, Encoding.JPEG)
    assert [entry.sample for entry in quarantined] == [5]
    assert "intra.mp4 frame 5 cannot be decoded" in quarantined[0].reason
    assert part.samples["status"].tolist() == [0] * 5 + [SampleStatus.QUARANTINED] + [0] * 6


@pytest.mark.parametrize(("name", "options"), [("b.mp4", B_FRAMES), ("open.mp4", OPEN_GOP)])
def test_what_is_made_from_a_damaged_frame_is_set_aside_in_any_range(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / name, 60, options=options)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = next(at for at, packet in enumerate(packets) if at > 14 and not packet.is_keyframe)
    after = next(packet.pts for packet in packets[damaged:] if packet.is_keyframe)
    every = sorted(packet.pts for packet in packets)
    content = bytearray(path.read_bytes())
    at = content.index(bytes(packets[damaged]))
    content[at + 4 : at + packets[damaged].size] = bytes(packets[damaged].size - 4)
    path.write_bytes(content)
    video = open_video(path)
    found = numbers(video, 0, 60)
    for row, number in enumerate(found):
        assert number in (row, None), "no frame shows another"
    first = every.index(packets[damaged].pts)
    assert found[first] is None
    assert found[every.index(after) :] == list(range(every.index(after), 60)), (
        "from the next keyframe on all is well"
    )
    lost = {row for row, number in enumerate(found) if number is None}
    for start in (0, first - 3, first, first + 2, every.index(after) - 1):
        again = numbers(video, start, start + 7)
        assert {start + row for row, number in enumerate(again) if number is None} == lost & set(
            range(start, start + 7)
        )


def trimmed(source: Path, target: Path, skip: int, frames: int, frame_ticks: int) -> Path:
    """An MP4 whose edit list shows ``frames`` frames from ``skip`` on; the media stay whole."""
    content = bytearray(source.read_bytes())
    at = content.index(b"elst") + 12  # version and flags, then the number of edits
    duration, media_time, rate = struct.unpack(">Iii", content[at : at + 12])
    duration = round(duration * frames / len(open_video(source)))
    content[at : at + 12] = struct.pack(">Iii", duration, media_time + skip * frame_ticks, rate)
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("options", [B_FRAMES, OPEN_GOP])
def test_an_edit_list_shows_what_a_player_shows(tmp_path: Path, options: dict[str, str]) -> None:
    whole = write(tmp_path / "whole.mp4", 50, options=options)
    with av.open(str(whole)) as container:
        ticks = int(1 / (30 * container.streams.video[0].time_base))
    video = open_video(trimmed(whole, tmp_path / "trimmed.mp4", 17, 20, ticks))
    with av.open(str(video.path)) as container:
        shown = [number_of(rgb_of(frame)) for frame in container.decode(video=0)]
    assert shown[0] == 17
    assert numbers(video, 0, len(video)) == shown
    assert numbers(video, 9, 14) == shown[9:14]


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.mp4", 40)
    path.write_bytes(path.read_bytes()[:-200])  # the index is at the end
    with pytest.raises(SourceError, match=r"whole.mp4 cannot be opened as a video"):
        open_video(path)
    front = remuxed(write(tmp_path / "a.mp4", 40), tmp_path / "front.mp4", slice(None), movflags="faststart")
    front.write_bytes(front.read_bytes()[:-2000])
    with pytest.raises(SourceError, match=r"front.mp4 declares 40 frames but holds \d+: it is cut off"):
        open_video(front)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    for name, content in {
        "empty.mp4": b"",
        "noise.mp4": bytes(range(256)) * 40,
        "text.avi": b"hello",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=name):
            open_video(tmp_path / name)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mp4", 3)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(SourceError, match=r"fleetlabel\[video\]"):
        open_video(path)


def test_png_keeps_the_decoded_pixels(tmp_path: Path) -> None:
    import cv2

    video = open_video(write(tmp_path / "a.mp4", 4))
    times = Timeline(np.arange(4, dtype=np.int64))
    part, _ = video_part(video, np.array([-1, 1, 2, -1]), 0, times, SIZE_PX, Encoding.PNG)
    missing, good = SampleStatus.MISSING, SampleStatus.OK
    assert part.samples["status"].tolist() == [missing, good, good, missing]
    picture = cv2.imdecode(part.flat["jpeg"][: part.counts[1]], cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(picture, rgb_of(dict(video.frames(1, 2))[1]))


def test_going_on_decodes_each_frame_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fleetlabel.engine.ingest import video as module

    video = open_video(write(tmp_path / "one.mp4", 60, options={"x264-params": "keyint=9999:scenecut=0"}))
    decoded = 0
    real = module._decoded

    def counting(*arguments: object) -> object:
        nonlocal decoded
        for frame in real(*arguments):  # type: ignore[arg-type]
            decoded += 1
            yield frame

    monkeypatch.setattr(module, "_decoded", counting)
    for start in range(0, 60, 10):
        assert numbers(video, start, start + 10) == list(range(start, start + 10))
    assert decoded == 60
