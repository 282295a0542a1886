"""Which drives are of one place, beside shapely's distances between whole ways."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.engine.release.places import STEP, joined, way_of
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.store import SequenceInfo
from release.fleets import made_drive

AROUND = np.array([4.0e5, 5.1e6, 100.0])


def along(points: list[tuple[float, float]], origin: dict[str, object] | None = None) -> SequenceInfo:
    """A drive along some points of a UTM grid, metres east and north of one of its points."""
    info = made_drive("drive", 0.0).info
    times = np.arange(len(points), dtype=np.int64) * 1_000_000_000
    poses = np.tile([0.0, 0, 0, 1, 0, 0, 0], (len(points), 1))
    poses[:, :2] = points
    source = info.source if origin is None else {"format": "rig", "origin": origin}
    return replace(
        info,
        trajectory=Trajectory(times, poses),
        frame_timestamp_ns=times,
        world_offset_m=AROUND,
        source=source,
    )


def groups(drives: list[SequenceInfo], within_m: float) -> set[frozenset[int]]:
    number = joined([way_of(drive, within_m) for drive in drives], within_m)
    return {frozenset(np.flatnonzero(number == one).tolist()) for one in set(number.tolist())}


def connected(n: int, pairs: set[tuple[int, int]]) -> set[frozenset[int]]:
    found = [{row} for row in range(n)]
    for a, b in pairs:
        one, two = (next(group for group in found if row in group) for row in (a, b))
        if one is not two:
            found.remove(two)
            one |= two
    return {frozenset(group) for group in found}


_COORDINATE = st.floats(-400, 400, allow_nan=False, width=32)
_WAYS = st.lists(
    st.lists(st.tuples(_COORDINATE, _COORDINATE), min_size=1, max_size=5), min_size=1, max_size=7
)


@given(ways=_WAYS, within_m=st.sampled_from([5.0, 30.0, 100.0]))
@settings(max_examples=60, deadline=None)
def test_drives_that_came_close_are_together_and_no_others(
    ways: list[list[tuple[float, float]]], within_m: float
) -> None:
    lines = [shapely.LineString(way if len(way) > 1 else way * 2) for way in ways]
    distance = {(a, b): lines[a].distance(lines[b]) for a, b in itertools.combinations(range(len(ways)), 2)}
    found = groups([along(way) for way in ways], within_m)
    # The grid is stretched by up to 0.04 %, as UTM is.
    near = {pair for pair, d in distance.items() if d < within_m * 0.999}
    reach = {pair for pair, d in distance.items() if d < within_m * (1 + STEP) * 1.001}
    for group in connected(len(ways), near):
        assert any(group <= one for one in found), "drives that came close were parted"
    for group in found:
        assert any(group <= one for one in connected(len(ways), reach)), "drives far apart were joined"


def test_a_thousand_drives_from_one_yard_cost_no_more_than_their_ways() -> None:
    random = np.random.default_rng(0)
    drives = [along([(0.0, 0.0), tuple(random.uniform(-300, 300, 2))]) for _ in range(200)]
    assert groups(drives, 50.0) == {frozenset(range(200))}


def test_the_same_road_by_grid_and_by_latitude() -> None:
    # 9 degrees east, the equator: 500 km east on the grid of zone 32.
    grid = replace(along([(0.0, 0.0), (100.0, 0.0)]), world_offset_m=np.array([500_000.0, 0, 0]))
    degrees = replace(
        along([(0.0, 20.0), (100.0, 20.0)], {"latitude_deg": 0.0, "longitude_deg": 9.0}),
        world_offset_m=np.zeros(3),
    )
    assert groups([grid, degrees], 30.0) == {frozenset({0, 1})}
    assert groups([grid, degrees], 15.0) == {frozenset({0}), frozenset({1})}


def test_across_the_date_line() -> None:
    west = along([(0.0, 0.0)], {"latitude_deg": 0.0, "longitude_deg": 179.9999})
    east = along([(0.0, 0.0)], {"latitude_deg": 0.0, "longitude_deg": -179.9999})
    drives = [replace(one, world_offset_m=np.zeros(3)) for one in (west, east)]
    assert groups(drives, 50.0) == {frozenset({0, 1})}, "22 m apart"


@pytest.mark.parametrize(
    ("one", "two", "together"),
    [
        ({"format": "nuscenes", "location": "boston"}, {"format": "nuscenes", "location": "boston"}, True),
        ({"format": "nuscenes", "location": "boston"}, {"format": "nuscenes", "location": "onenorth"}, False),
        ({"format": "argoverse2", "city": "PIT"}, {"format": "argoverse2", "city": "PIT"}, True),
        ({"format": "argoverse2", "city": "PIT"}, {"format": "argoverse2", "city": "WDC"}, False),
        ({"format": "nuscenes", "location": "boston"}, {"format": "argoverse2", "city": "PIT"}, False),
        ({"format": "waymo"}, {"format": "waymo"}, False),
        ({"format": "rig", "origin": {}}, {"format": "rig", "origin": {}}, False),
    ],
)
def test_maps_are_frames_of_their_own(one: dict[str, object], two: dict[str, object], together: bool) -> None:
    drives = [replace(along([(0.0, 0.0), (9.0, 0.0)]), source=source) for source in (one, two)]
    assert (groups(drives, 50.0) == {frozenset({0, 1})}) is together
