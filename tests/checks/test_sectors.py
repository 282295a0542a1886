"""Lidar sectors: what a lidar covers is learnt; holes in it are told in degrees."""

from __future__ import annotations

import numpy as np
import pytest

from checks.made_up import MadeUp, lidar
from fleetlabel.engine.checks.contract import Finding, Verdict
from fleetlabel.engine.checks.inspection import Inspection
from fleetlabel.engine.checks.sectors import LidarSectors


def found(covers) -> Finding:  # type: ignore[no-untyped-def]
    def sweep(_: str, frame: int) -> np.ndarray:
        azimuth = np.arange(-180.0, 180.0, 0.25)
        azimuth = np.radians(azimuth[covers(azimuth, frame)])
        flat = np.stack([10 * np.cos(azimuth), 10 * np.sin(azimuth), 0 * azimuth, 1 + 0 * azimuth], axis=1)
        return flat.astype(np.float32)

    recording = MadeUp(40, (lidar(),), sweeps=sweep)
    return LidarSectors().run(Inspection(recording)).findings[0]


def test_a_turning_lidar_and_one_that_looks_ahead_pass() -> None:
    assert found(lambda azimuth, frame: azimuth < 400).values["covered_deg"] == 360
    ahead = found(lambda azimuth, frame: np.abs(azimuth) < 30)
    assert (ahead.verdict, ahead.values["covered_deg"]) == (Verdict.PASS, 60)


@pytest.mark.parametrize(("low", "high"), [(30, 75), (-170, -130), (-20, 10)])
def test_a_blocked_sector_is_told_with_its_size_and_place(low: int, high: int) -> None:
    one = found(lambda azimuth, frame: (azimuth < low) | (azimuth >= high))
    assert (one.verdict, one.fault) == (Verdict.FAIL, "sector-blocked")
    assert one.values["blocked_deg"] == high - low
    assert one.values["middle_deg"] == pytest.approx((low + high) / 2, abs=3)


def test_a_sector_that_is_lost_at_times() -> None:
    one = found(lambda azimuth, frame: (azimuth < 60) | (azimuth >= 100) | (frame < 30))
    assert (one.verdict, one.fault) == (Verdict.FAIL, "sector-lost")
    assert one.values["lost_deg"] == 40
    assert one.values["lost_sweeps_percent"] == pytest.approx(25, abs=8)


def test_empty_sweeps_cannot_tell() -> None:
    assert found(lambda azimuth, frame: azimuth > 400).verdict is Verdict.UNKNOWN
