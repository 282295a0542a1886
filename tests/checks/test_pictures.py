"""Frozen, blank, dark and broken pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.made_up import MadeUp, camera, noise
from fleetlabel.engine.checks.contract import Finding, Verdict
from fleetlabel.engine.checks.exposure import PictureHealth
from fleetlabel.engine.checks.inspection import Inspection
from fleetlabel.store import SampleStatus


def found(recording: MadeUp) -> dict[str, Finding]:
    return {one.subject: one for one in PictureHealth().run(Inspection(recording)).findings}


@given(first=st.integers(1, 260), length=st.integers(30, 300), lost=st.sets(st.integers(0, 299), max_size=30))
@settings(max_examples=12)
def test_a_freeze_is_found_with_its_first_and_last_frame(first: int, length: int, lost: set[int]) -> None:
    last = min(first + length, 299)
    status = np.zeros(300, np.uint8)
    status[sorted(lost - {first - 1, first, last})] = SampleStatus.MISSING

    def picture(_: str, frame: int) -> np.ndarray:
        return noise(first - 1 if first <= frame <= last else frame)

    one = found(MadeUp(300, (camera(),), states={"front": status}, pictures=picture))["front"]
    assert (one.verdict, one.fault) == (Verdict.FAIL, "frozen")
    assert (one.values["first_frame"], one.values["last_frame"]) == (first, last)


def test_pictures_that_differ_pass_and_a_frozen_camera_accuses_no_other() -> None:
    cameras = (camera("front"), camera("back"))
    recording = MadeUp(60, cameras, pictures=lambda name, k: noise(min(k, 20) if name == "back" else k))
    one = found(recording)
    assert (one["front"].verdict, one["back"].fault) == (Verdict.PASS, "frozen")


@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        (lambda frame: np.full((360, 640, 3), 90, np.uint8), "blank"),
        (lambda frame: noise(frame, 0, 20), "exposure"),
        (lambda frame: noise(frame, 236, 256), "exposure"),
        (lambda frame: b"\xff\xd8 no picture", "broken"),
        (lambda frame: b"", "broken"),
    ],
)
def test_what_is_wrong_with_some_pictures_is_named_and_stops_nothing(spoilt, fault: str) -> None:  # type: ignore[no-untyped-def]
    recording = MadeUp(60, (camera(),), pictures=lambda _, k: spoilt(k) if k >= 30 else noise(k))
    inspection = Inspection(recording)
    one = PictureHealth().run(inspection).findings[0]
    assert (one.fault, one.verdict) == (fault, Verdict.FAIL)
    assert one.values["first_frame"] in range(28, 36)


def test_a_camera_without_pictures_cannot_be_told() -> None:
    gone = np.full(40, SampleStatus.MISSING, np.uint8)
    assert found(MadeUp(40, (camera(),), states={"front": gone}))["front"].verdict is Verdict.UNKNOWN
