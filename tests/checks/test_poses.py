"""Pose jumps: found, with size and time, on any drive; none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.made_up import MadeUp, camera, trajectory
from fleetlabel.engine.checks.contract import Finding, Verdict
from fleetlabel.engine.checks.inspection import Inspection
from fleetlabel.engine.checks.poses import PoseJumps
from fleetlabel.geometry.trajectory import Trajectory


def found(path: Trajectory) -> Finding:
    return PoseJumps().run(Inspection(MadeUp(100, (camera(),), path=path))).findings[0]


@given(
    size_m=st.floats(0.4, 5.0),
    heading=st.floats(-3.1, 3.1),
    where=st.integers(1, 205),
    speed_mps=st.floats(0.1, 30.0),
    turn=st.floats(0.01, 0.5),
)
def test_a_jump_is_found_with_its_size(
    size_m: float, heading: float, where: int, speed_mps: float, turn: float
) -> None:
    path = trajectory(100, speed_mps, turn)
    poses = path.world_from_ego.copy()
    poses[where:, :2] += size_m * np.array([np.cos(heading), np.sin(heading)])
    one = found(Trajectory(path.timestamp_ns, poses))
    assert (one.verdict, one.fault) == (Verdict.FAIL, "pose-jump")
    assert one.values["jump_m"] == pytest.approx(size_m, rel=0.1)
    assert one.values["at_s"] == pytest.approx(path.timestamp_ns[where] / 1e9, abs=1e-6)


@given(seed=st.integers(0, 1000), noise_m=st.floats(0.0, 0.05), speed_mps=st.floats(0.0, 30.0))
def test_braking_turning_and_noise_are_no_jumps(seed: int, noise_m: float, speed_mps: float) -> None:
    random = np.random.default_rng(seed)
    path = trajectory(100, 1.0, 0.2)
    times = path.timestamp_ns / 1e9
    poses = path.world_from_ego.copy()
    poses[:, 0] = speed_mps * times - 4.0 * np.maximum(times - 5.0, 0.0) ** 2 / 2  # full braking from 5 s on
    poses[:, :3] += random.normal(0.0, noise_m, (len(poses), 3))
    assert found(Trajectory(path.timestamp_ns, poses)).verdict is Verdict.PASS


def test_few_poses_cannot_tell() -> None:
    path = trajectory(100)
    assert found(Trajectory(path.timestamp_ns[:4], path.world_from_ego[:4])).verdict is Verdict.UNKNOWN
