"""Whose it is: the camera's, or the lidar's that all cameras disagree with; and what a report is made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.checks.blame import Measured, blame
from fleetlabel.engine.checks.contract import Verdict, worst

CAMERAS = ["front", "left", "right", "back", "far"]


def measured(values: dict[str, np.ndarray]) -> dict[tuple[str, str], Measured]:
    sigma = np.full(3, 0.02)
    return {(name, "lidar"): Measured(value, sigma, 5.0) for name, value in values.items()}


@given(st.integers(0, 10_000), st.sampled_from(CAMERAS))
def test_one_camera_that_is_off_is_the_camera(seed: int, bad: str) -> None:
    random = np.random.default_rng(seed)
    values = {name: random.normal(0, 0.02, 3) for name in CAMERAS}
    fault = random.normal(0, 1, 3)
    values[bad] += 0.5 * fault / np.linalg.norm(fault)
    blamed = blame(measured(values), 0.25)
    assert not blamed.of_lidar
    off = {name for name, one in blamed.of_camera.items() if np.linalg.norm(one.value) > 0.25}
    assert off == {bad}


@given(st.integers(0, 10_000))
def test_what_all_cameras_say_is_the_lidar_the_other_way_round(seed: int) -> None:
    random = np.random.default_rng(seed)
    fault = random.normal(0, 1, 3)
    fault *= 0.5 / np.linalg.norm(fault)
    blamed = blame(measured({name: random.normal(0, 0.02, 3) - fault for name in CAMERAS}), 0.25)
    assert blamed.of_lidar["lidar"].value == pytest.approx(fault, abs=0.06)
    assert all(np.linalg.norm(one.value) < 0.2 for one in blamed.of_camera.values())


def test_with_two_cameras_there_is_no_majority() -> None:
    off = np.array([0.5, 0.0, 0.0])
    blamed = blame(measured({"front": off, "back": off}), 0.25)
    assert not blamed.of_lidar
    assert len(blamed.of_camera) == 2


def test_what_cannot_be_told_is_no_blemish_beside_what_can() -> None:
    assert worst([Verdict.UNKNOWN, Verdict.PASS]) is Verdict.PASS
    assert worst([Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([Verdict.PASS, Verdict.FAIL, Verdict.WARN]) is Verdict.FAIL
