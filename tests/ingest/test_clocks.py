from __future__ import annotations

from decimal import Decimal
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.ingest.clocks import fill_between, nanoseconds, timeline
from fleetlabel.model.errors import SourceError


def test_decimal_seconds_keep_every_digit() -> None:
    assert nanoseconds(Decimal("1557539959.700396123")) == 1557539959700396123
    assert nanoseconds(Decimal("0.000000001")) == 1
    assert nanoseconds(3) == 3_000_000_000


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), None, "12", True, [], 10**12]
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert nanoseconds(value) is None


def test_clock_in_order_is_left_alone() -> None:
    found = timeline([10, 20, 35], np.ones(3, np.bool_), "t.json")
    assert found.timestamp_ns.tolist() == [10, 20, 35]
    assert found.faults == {}


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ([0, 100, 100, 300, 400], "same timestamp as frame 1"),
        ([0, 100, 50, 300, 400], "out of order"),
        ([0, 100, 9000, 300, 400], "out of order"),
        ([0, 100, None, 300, 400], "not a number"),
    ],
)
def test_the_one_bad_sample_is_blamed_and_guessed(times: list[int | None], why: str) -> None:
    found = timeline(times, np.ones(5, np.bool_), "t.json")
    assert list(found.faults) == [2]
    assert "t.json" in found.faults[2]
    assert why in found.faults[2]
    assert found.timestamp_ns.tolist() == [0, 100, 200, 300, 400]


def test_frames_without_an_entry_are_filled_without_a_fault() -> None:
    found = timeline([None, 100, None, 300, None], np.array([0, 1, 0, 1, 0], np.bool_), "t.json")
    assert found.timestamp_ns.tolist() == [0, 100, 200, 300, 400]
    assert found.faults == {}


def test_a_clock_that_runs_backwards_is_refused() -> None:
    with pytest.raises(SourceError, match=r"t\.json: only 1 of 5 timestamps"):
        timeline([5, 4, 3, 2, 1], np.ones(5, np.bool_), "t.json")


@given(st.lists(st.integers(0, 12), min_size=1, max_size=9))
def test_no_fewer_samples_could_be_blamed(times: list[int]) -> None:
    longest = max(
        size
        for size in range(1, len(times) + 1)
        for rows in combinations(range(len(times)), size)
        if all(times[a] < times[b] for a, b in pairwise(rows))
    )
    try:
        found = timeline(list(times), np.ones(len(times), np.bool_), "t.json")
    except SourceError:
        assert 2 * longest < len(times)
        return
    assert len(times) - len(found.faults) == longest
    kept = [row for row in range(len(times)) if row not in found.faults]
    assert found.timestamp_ns[kept].tolist() == [times[row] for row in kept]


@given(st.integers(0, 2**60), st.lists(st.integers(1, 10**9), min_size=2, max_size=20))
def test_filling_keeps_exact_times_however_large(base: int, steps: list[int]) -> None:
    values = np.cumsum([base, *steps]).tolist()
    frames = list(range(0, 2 * len(values), 2))
    filled = fill_between(frames, values, 2 * len(values) + 3)
    assert filled[frames].tolist() == values
    assert (np.diff(filled) >= 0).all()
