"""Tiles cover the picture, overlap, and know which boxes they cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.detect.tiles import GRID_PX, View, views

sizes = st.integers(1, 2000)
counts = st.tuples(st.integers(1, 6), st.integers(1, 4))
networks = st.sampled_from([None, (320, 320), (384, 640)])


@given(sizes, sizes, counts, networks)
def test_tiles_cover_the_picture(
    width: int, height: int, tiles: tuple[int, int], network: tuple[int, int] | None
) -> None:
    full, *parts = views(width, height, tiles, network)
    assert (full.x0, full.y0, full.x1, full.y1) == (0, 0, width, height)
    assert len(parts) <= tiles[0] * tiles[1]
    if not parts:
        return
    seen = np.zeros((height, width), dtype=bool)
    for part in parts:
        assert 0 <= part.x0 < part.x1 <= width
        assert 0 <= part.y0 < part.y1 <= height
        assert part.x0 % GRID_PX == part.y0 % GRID_PX == 0
        assert part.inner == (part.x0 > 0, part.y0 > 0, part.x1 < width, part.y1 < height)
        seen[part.y0 : part.y1, part.x0 : part.x1] = True
    assert seen.all()


@given(sizes, sizes, counts, networks)
def test_no_view_twice(
    width: int, height: int, tiles: tuple[int, int], network: tuple[int, int] | None
) -> None:
    found = views(width, height, tiles, network)
    assert len(set(found)) == len(found)


def test_one_by_one_is_the_full_picture_alone() -> None:
    assert views(1920, 1080, (1, 1), (320, 320)) == (View(0, 0, 1920, 1080),)


def test_tiles_overlap_by_a_fifth_and_use_the_whole_network_input() -> None:
    tiles = views(1920, 1080, (2, 1), None)[1:]
    assert tiles[0].x1 - tiles[1].x0 >= 0.19 * (tiles[0].x1 - tiles[0].x0)
    for tile in views(1920, 1080, (3, 2), (320, 320))[1:]:
        aspect = (tile.x1 - tile.x0) / (tile.y1 - tile.y0)
        assert 0.97 < aspect < 1.03


def test_boxes_at_an_inner_border_are_cut_and_those_at_the_pictures_edge_are_not() -> None:
    left = views(1920, 1080, (2, 1), (320, 320))[1]
    boxes = np.array(
        [[100, 100, 200, 200], [900, 100, left.x1, 200], [0, 100, 50, 200], [100, 1000, 200, 1080]],
        dtype=float,
    )
    assert left.cut(boxes).tolist() == [False, True, False, False]
