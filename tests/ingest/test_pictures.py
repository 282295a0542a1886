from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.engine.ingest.pictures import camera_part, picture_fault, picture_size
from fleetlabel.store import SampleStatus

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
JPEG = simplejpeg.encode_jpeg(PIXELS, quality=70)
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


@pytest.mark.parametrize("data", [JPEG, PNG, JPEG + b"\0" * 16], ids=["jpeg", "png", "padded jpeg"])
def test_whole_pictures_pass(data: bytes) -> None:
    assert picture_fault(data, (64, 48)) is None


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
@given(fraction=st.floats(0, 0.999))
def test_cut_pictures_are_found_wherever_they_are_cut(data: bytes, fraction: float) -> None:
    assert picture_fault(data[: int(fraction * (len(data) - 8))], (64, 48)) is not None


def test_a_thumbnail_does_not_hide_a_cut() -> None:
    exif = b"\xff\xe1" + (len(JPEG) + 2).to_bytes(2, "big") + JPEG
    with_thumbnail = JPEG[:2] + exif + JPEG[2:]
    assert picture_fault(with_thumbnail, (64, 48)) is None
    assert "cut off" in (picture_fault(with_thumbnail[:-100], (64, 48)) or "")


@given(st.binary(max_size=200))
def test_any_bytes_are_judged_without_an_exception(data: bytes) -> None:
    assert picture_fault(data, (64, 48)) is not None
    assert picture_fault(b"\xff\xd8" + data, (64, 48)) is not None


def test_size_that_the_calibration_is_not_for() -> None:
    assert "is 64x48 px, but the camera's calibration is for 1920x1080" in (
        picture_fault(JPEG, (1920, 1080)) or ""
    )


def test_bytes_are_kept_as_they_came_broken_or_not(tmp_path: Path) -> None:
    contents = [JPEG, JPEG[:200], None, b"", PNG]
    paths: list[Path | None] = []
    for row, content in enumerate(contents):
        path = tmp_path / f"{row}.jpg"
        if content is not None:
            path.write_bytes(content)
        paths.append(None if content is None else path)
    times = Timeline(np.arange(10, 20, dtype=np.int64), {7 + 4: "clock"})
    part, quarantined = camera_part(paths, 7, Timeline(np.arange(20, dtype=np.int64), times.faults), (64, 48))
    assert part.flat["jpeg"].tobytes() == b"".join(content or b"" for content in contents)
    assert part.counts.tolist() == [len(content or b"") for content in contents]
    assert part.samples["status"].tolist() == [0, 2, SampleStatus.MISSING, 2, 2]
    assert [q.sample for q in quarantined] == [8, 10, 11]
    assert "1.jpg is cut off" in quarantined[0].reason
    assert quarantined[2].reason == "clock"


def test_size_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(JPEG)
    (tmp_path / "b").write_bytes(PNG)
    (tmp_path / "c").write_bytes(b"\xff\xd8\xff")
    assert picture_size(tmp_path / "a") == picture_size(tmp_path / "b") == (64, 48)
    assert picture_size(tmp_path / "c") is None
    assert picture_size(tmp_path / "d") is None
