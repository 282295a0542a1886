from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.viewers.layout import Place, arrange, camera_order
from viewers.synthetic_drive import AZIMUTH_DEG

SIX = ["front_left", "front", "front_right", "left", "back", "right"]


def order(names: list[str], columns: int, **azimuths: float) -> list[str | None]:
    found = camera_order([np.radians((AZIMUTH_DEG | azimuths)[name]) for name in names], columns)
    return [None if row is None else names[row] for row in found]


@pytest.mark.parametrize("shuffled", [SIX, sorted(SIX), SIX[::-1]])
def test_three_columns_look_as_from_the_drivers_seat(shuffled: list[str]) -> None:
    assert order(shuffled, 3) == SIX


def test_two_columns_mirror_left_and_right() -> None:
    assert order(sorted(SIX), 2) == ["front", "back", "front_left", "front_right", "left", "right"]


def test_five_cameras_without_one_to_the_rear() -> None:
    names = ["front", "front_left", "front_right", "left", "right"]
    assert order(names, 3) == ["front_left", "front", "front_right", "left", None, "right"]
    assert order(names, 2) == ["front", None, "front_left", "front_right", "left", "right"]


def test_others_go_round_from_the_left_over_the_front_to_the_right() -> None:
    names = ["right", "front", "front_right", "left", "front_left"]
    assert order(names, 5) == ["left", "front_left", "front", "front_right", "right"]
    assert order(names, 1) == ["left", "front_left", "front", "front_right", "right"]
    all_to_the_left = [0.5, 1.0, 1.5, 2.0]
    assert camera_order(all_to_the_left, 3) == [3, 2, 1, 0], "a side of its own would need more rows"


def overlap(a: Place, b: Place) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


@given(
    width=st.integers(480, 4000),
    cameras=st.lists(st.tuples(st.floats(-3.14, 3.14), st.floats(0.6, 3.5)), max_size=12),
    with_ground=st.booleans(),
)
def test_everything_has_its_place(width: int, cameras: list[tuple[float, float]], with_ground: bool) -> None:
    layout = arrange(width, [a for a, _ in cameras], [r for _, r in cameras], with_ground)
    assert layout.width in (width, width - 1)
    assert layout.width % 2 == layout.height % 2 == 0
    assert len(layout.cameras) == len(cameras)
    assert (layout.ground is not None) is with_ground
    places = [layout.header, layout.footer, *layout.cameras, *([layout.ground] if layout.ground else [])]
    for place in places:
        assert place.width > 0
        assert place.height > 0
        assert place.x >= 0
        assert place.x + place.width <= layout.width
        assert place.y >= 0
        assert place.y + place.height <= layout.height
    assert not any(overlap(a, b) for a, b in combinations(places, 2))


def test_six_wide_cameras_fill_a_wide_sheet() -> None:
    layout = arrange(1920, [np.radians(AZIMUTH_DEG[name]) for name in SIX], [16 / 9] * 6, with_ground=True)
    assert (layout.width, layout.height) == (1920, 1080)
    assert all(place.width > 560 for place in layout.cameras)
    assert layout.ground is not None
    assert layout.ground.width > 690


def test_very_wide_cameras_are_stacked() -> None:
    layout = arrange(1920, [0.01, -0.01], [1242 / 375] * 2, with_ground=True)
    assert layout.cameras[0].x == layout.cameras[1].x
    assert layout.cameras[0].width > 1000
