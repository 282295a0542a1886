from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from fleetlabel.viewers.outputs import OutputError, replacing, write_still
from fleetlabel.viewers.video import real_time_rate, write_video


def pictures(count: int, width: int = 320, height: int = 180) -> Iterator[np.ndarray]:
    for number in range(count):
        picture = np.empty((height, width, 3), dtype=np.uint8)
        picture[:] = (40, 160, 20 + 4 * number)
        yield picture


def test_the_video_holds_every_picture_in_its_colours(tmp_path: Path) -> None:
    assert write_video(tmp_path / "clip.mp4", pictures(30), Fraction(10)) == 30
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.codec_context.pix_fmt, stream.average_rate) == ("yuv420p", 10)
        frames = list(container.decode(stream))
    assert len(frames) == 30
    assert [frame.time for frame in frames] == pytest.approx([0.1 * number for number in range(30)])
    for number in (0, 29):
        back = frames[number].reformat(format="bgr24", src_colorspace=1).to_ndarray()
        np.testing.assert_allclose(np.median(back, axis=(0, 1)), (40, 160, 20 + 4 * number), atol=4)


def test_odd_rates_are_kept(tmp_path: Path) -> None:
    rate = real_time_rate(np.arange(5) * 33_366_667)
    write_video(tmp_path / "clip.mp4", pictures(5), rate)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(29.97, abs=0.01)


def test_the_rate_is_that_of_the_frames() -> None:
    assert real_time_rate(np.arange(24) * 100_000_000) == 10
    assert real_time_rate(np.array([0, 50, 100, 150, 900]) * 1_000_000) == 20
    assert real_time_rate(np.array([5])) == 10


def test_a_video_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"before")

    def failing() -> Iterator[np.ndarray]:
        yield from pictures(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(target, failing(), Fraction(10))
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("still.png", lambda path: write_still(path, next(pictures(1)))),
        ("clip.mp4", lambda path: write_video(path, pictures(2), Fraction(10))),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, name: str, write: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_bytes(b"")
    target = tmp_path / "file" / name
    with pytest.raises(OutputError, match=f"cannot write .*{name}: .*; choose another --out"):
        write(target)


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot write .*x\.png: No space left on device; free some space"),
        replacing(tmp_path / "x.png"),
    ):
        Path("/dev/full").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg"])
def test_stills_of_every_kind(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    picture = next(pictures(1))
    write_still(tmp_path / "new" / f"still{suffix}", picture)
    back = cv2.imread(str(tmp_path / "new" / f"still{suffix}"))
    np.testing.assert_allclose(back, picture, atol=0 if "png" in suffix.lower() else 4)
    assert capfd.readouterr() == ("", "")
