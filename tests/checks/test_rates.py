"""Frame drops and jitter: counted exactly, whatever rates sensors have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.made_up import FRAME_NS, MadeUp, camera, lidar
from fleetlabel.engine.checks.contract import Finding, Verdict
from fleetlabel.engine.checks.inspection import Inspection
from fleetlabel.engine.checks.rates import FrameRates
from fleetlabel.store import SampleStatus


def found(recording: MadeUp) -> dict[str, Finding]:
    return {one.subject: one for one in FrameRates().run(Inspection(recording)).findings}


def states(n: int, missing: list[int]) -> np.ndarray:
    status = np.zeros(n, np.uint8)
    status[missing] = SampleStatus.MISSING
    return status


def test_regular_sensors_pass() -> None:
    one = found(MadeUp(100, (camera(), lidar())))
    assert {finding.verdict for finding in one.values()} == {Verdict.PASS}
    assert one["front"].values["rate_hz"] == pytest.approx(10.0)


@given(st.sets(st.integers(0, 199), min_size=1, max_size=40), st.integers(0, 1000))
def test_every_lost_sample_is_counted(lost: set[int], seed: int) -> None:
    jitter = np.random.default_rng(seed).integers(-1_500_000, 1_500_000, 200)
    recording = MadeUp(
        200,
        (camera(), lidar()),
        times={"lidar": FRAME_NS * np.arange(200) + jitter},
        states={"lidar": states(200, sorted(lost))},
    )
    one = found(recording)
    assert one["lidar"].values["lost"] == len(lost)
    assert one["lidar"].fault == "dropped"
    assert (one["lidar"].verdict is Verdict.FAIL) == (len(lost) > 2 and len(lost) / 200 >= 0.03)
    assert one["front"].verdict is Verdict.PASS, "the other sensor is not to blame"


def test_a_sensor_at_a_third_of_the_frames_lacks_nothing() -> None:
    sparse = [frame for frame in range(120) if frame % 3]
    one = found(MadeUp(120, (camera(), lidar()), states={"front": states(120, sparse)}))
    assert one["front"].verdict is Verdict.PASS
    assert one["front"].values["lost"] == 0


def test_jitter_is_told_in_milliseconds() -> None:
    late = FRAME_NS * np.arange(100) + 20_000_000 * (np.arange(100) % 2)
    one = found(MadeUp(100, (camera(), lidar()), times={"front": late}))
    assert (one["front"].fault, one["lidar"].fault) == ("jitter", "")
    assert 15 < one["front"].values["jitter_ms"] < 45


def test_no_sample_at_all_fails_and_few_frames_cannot_tell() -> None:
    gone = found(MadeUp(50, (lidar(),), states={"lidar": states(50, list(range(50)))}))
    assert gone["lidar"].verdict is Verdict.FAIL
    assert found(MadeUp(3, (lidar(),)))["lidar"].verdict is Verdict.UNKNOWN
