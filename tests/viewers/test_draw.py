from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.viewers import draw

RED = np.array([[0, 0, 255]], dtype=np.uint8)


def canvas(width: int = 100, height: int = 60) -> np.ndarray:
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_pixel_edges_are_counted() -> None:
    picture = canvas()
    draw.stroke(picture, np.array([[[10.5, 20.5], [40.5, 20.5]]]), np.array([0]), RED)
    rows, columns = np.nonzero(picture[:, :, 2] > 200)
    assert set(rows.tolist()) == {20}, "the middle of pixel row 20 is at 20.5"
    assert (columns.min(), columns.max()) == pytest.approx((10, 40), abs=1), "its ends fade"


def test_a_window_of_a_larger_picture_is_drawn_on_in_place() -> None:
    picture = canvas()
    window = picture[20:40, 30:70]
    draw.stroke(window, np.array([[[0.5, 0.5], [39.5, 0.5]]]), np.array([0]), RED, opacity=0.5)
    draw.fill(window, np.array([[[5, 5], [15, 5], [15, 15], [5, 15.0]]]), np.array([0]), RED, opacity=1.0)
    assert picture[20, 50, 2] == pytest.approx(120, abs=10)
    assert picture[30, 40, 2] == 255
    outside = picture.copy()
    outside[20:40, 30:70] = 0
    assert not outside.any()


def test_nothing_to_draw() -> None:
    picture, nothing = canvas(), np.empty((0, 2, 2))
    draw.stroke(picture, nothing, np.empty(0, int), RED, opacity=0.5)
    draw.fill(picture, np.empty((0, 4, 2)), np.empty(0, int), RED, opacity=0.5)
    pieces, owner = draw.dashes(nothing, np.empty(0, int), 5, 4)
    assert len(pieces) == len(owner) == 0
    assert not picture.any()


def test_dashes_cover_a_line_in_steps() -> None:
    line = np.array([[[0.0, 0.0], [30.0, 40.0]], [[5.0, 5.0], [5.0, 5.0]]])
    pieces, owner = draw.dashes(line, np.array([7, 8]), on_px=6, off_px=4)
    assert owner.tolist() == [7] * 5 + [8]
    lengths = np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1)
    np.testing.assert_allclose(lengths, [6, 6, 6, 6, 6, 0], atol=1e-9)
    np.testing.assert_allclose(pieces[4], [[24, 32], [27.6, 36.8]], atol=1e-9)


def test_rectangles_and_brackets() -> None:
    box = np.array([[10.0, 20.0, 50.0, 40.0]])
    sides = draw.rectangles(box)
    assert sides.shape == (4, 2, 2)
    assert {tuple(corner) for corner in sides.reshape(-1, 2).tolist()} == {
        (10, 20),
        (50, 20),
        (50, 40),
        (10, 40),
    }
    corners = draw.brackets(box, share=0.25, longest_px=6)
    lengths = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    np.testing.assert_allclose(sorted(lengths), [5, 5, 5, 5, 6, 6, 6, 6])
    assert draw.brackets(np.empty((0, 4)), 0.25, 6).shape == (0, 2, 2)


def test_text_that_does_not_fit_is_cut_off() -> None:
    whole = "front_left_camera"
    assert draw.elide(whole, 1000, 13) == whole
    cut = draw.elide(whole, 60, 13)
    assert cut.endswith("…")
    assert whole.startswith(cut[:-1])
    assert draw.text_width(cut, 13) <= 60
    assert draw.elide(whole, 2, 13) == ""
    picture = canvas(80, 40)
    draw.write(picture[:20], whole, 30, 15, (255, 255, 255), 13)
    assert picture[:20].any()
    assert not picture[20:].any()


def test_long_reasons_are_broken_into_lines() -> None:
    lines = draw.wrap_lines(
        "the quick brown fox jumps over the lazy dog again and again", 100, 13, max_lines=3
    )
    assert len(lines) == 3
    assert all(draw.text_width(line, 13) <= 100 for line in lines)
    assert lines[-1].endswith("…")
    assert draw.wrap_lines("short", 100, 13, max_lines=3) == ["short"]


boxes = st.lists(
    st.tuples(st.floats(0, 380), st.floats(0, 180), st.floats(1, 80), st.floats(1, 60)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60)
@given(boxes)
def test_labels_stay_readable(found: list[tuple[float, float, float, float]]) -> None:
    anchors = np.array([(x, y, x + w, y + h) for x, y, w, h in found])
    size = np.array([24, 14])
    sizes = np.tile(size, (len(anchors), 1))
    position, placed = draw.place_tags(anchors, sizes, np.array([[0, 0, 90, 20.0]]), 400, 200)
    assert placed[0] or anchors[0, 0] < 90
    shown = position[placed]
    assert (shown >= 0).all()
    assert (shown + size <= (400, 200)).all()
    rectangles = np.concatenate([[[0, 0, 90, 20]], np.concatenate([shown, shown + size], axis=1)])
    for row in range(1, len(rectangles)):
        covered = sum(overlap_area(rectangles[row], rectangles[other]) for other in range(row))
        assert covered <= 0.2 * 24 * 14


def overlap_area(a: np.ndarray, b: np.ndarray) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(max(width, 0) * max(height, 0))


def test_a_lone_label_sits_on_its_box() -> None:
    position, placed = draw.place_tags(
        np.array([[50.0, 60, 90, 100]]), np.array([[24, 14]]), np.empty((0, 4)), 400, 200
    )
    assert placed.tolist() == [True]
    assert position.tolist() == [[50, 46]]


def test_a_tag_is_as_large_as_it_says() -> None:
    picture = canvas()
    draw.tag(picture, "12", 5, 7, (255, 167, 63), 11)
    rows, columns = np.nonzero(picture.any(axis=2))
    width, height = draw.tag_size("12", 11)
    assert (columns.min(), rows.min()) == (5, 7)
    assert (columns.max() + 1, rows.max() + 1) == (5 + width, 7 + height)
