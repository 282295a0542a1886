from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.ingest.rig_frames import frames_of

FRAMES = np.arange(20, dtype=np.int64) * 100_000_000


@pytest.mark.parametrize("phase_ms", [-99, -80, -50, -20, 0, 3, 49, 50, 51, 80])
def test_a_constant_phase_gives_every_sample_its_frame(phase_ms: int) -> None:
    samples = FRAMES + phase_ms * 1_000_000
    assert frames_of(samples, FRAMES).tolist() == list(range(20))


def test_jitter_about_half_a_period_makes_no_gap() -> None:
    random = np.random.default_rng(0)
    samples = FRAMES + 50_000_000 + random.integers(-4_000_000, 4_000_000, 20)
    assert frames_of(samples, FRAMES).tolist() == list(range(20))


def test_lost_samples_are_gaps() -> None:
    kept = np.array([0, 1, 2, 5, 6, 9, 10, 11, 12, 19])
    assert frames_of(FRAMES[kept] - 30_000_000, FRAMES).tolist() == kept.tolist()


def test_a_slow_sensor_has_a_sample_in_some_frames() -> None:
    assert frames_of(FRAMES[::5] + 7, FRAMES).tolist() == [0, 5, 10, 15]


def test_of_a_fast_sensor_the_nearest_samples_stay() -> None:
    samples = np.arange(0, 2_000_000_000, 33_000_000, dtype=np.int64)
    found = frames_of(samples, FRAMES)
    for frame in range(20):
        (mine,) = np.flatnonzero(found == frame)
        assert mine == np.argmin(np.abs(samples - FRAMES[frame]))


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True).map(sorted),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True).map(sorted),
)
def test_no_frame_has_two_samples_and_their_order_stays(samples: list[int], frames: list[int]) -> None:
    found = frames_of(np.array(samples, dtype=np.int64), np.array(frames, dtype=np.int64))
    placed = found[found >= 0]
    assert (np.diff(placed) > 0).all()
    assert (found < len(frames)).all()
