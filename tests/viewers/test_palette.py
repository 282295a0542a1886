from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fleetlabel.model.ontology import CLASSES
from fleetlabel.viewers.palette import PANEL, TRACK_COLORS, ColorBy, box_colors, class_color, luminance
from viewers.synthetic_drive import CLASS_NAMES, cuboids


def distance(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(np.subtract(a, b, dtype=float)))


def test_colours_of_classes_do_not_change() -> None:
    assert class_color("car") == (255, 167, 63)
    assert class_color("pedestrian") == (46, 181, 255)
    assert class_color("hovercraft") == class_color("hovercraft")
    assert class_color("hovercraft") in {tuple(color) for color in TRACK_COLORS.tolist()}


def test_a_class_has_one_colour_in_every_vocabulary() -> None:
    assert class_color("Pedestrian with Object") == class_color("person") == class_color("pedestrian")
    assert class_color("Pickup Truck") == class_color("truck")


def test_classes_can_be_told_apart() -> None:
    for one, other in combinations(CLASSES, 2):
        assert distance(class_color(one), class_color(other)) > 35, (one, other)


def test_tracks_born_one_after_the_other_differ_much() -> None:
    for one, other in zip(TRACK_COLORS[:-1].tolist(), TRACK_COLORS[1:].tolist(), strict=True):
        assert distance(one, other) > 100
    for one, other in combinations(TRACK_COLORS.tolist(), 2):
        assert distance(one, other) > 35


def test_every_colour_stands_out_from_the_dark() -> None:
    colors = np.concatenate([TRACK_COLORS, [class_color(name) for name in CLASSES]])
    assert (luminance(colors) - luminance(np.array(PANEL)) > 60).all()


@pytest.mark.parametrize("by", list(ColorBy))
def test_boxes_are_coloured_by_class_or_track(by: ColorBy) -> None:
    boxes = cuboids(
        [0] * 4, [(0, 0, 0)] * 4, class_id=np.array([0, 1, 0, 1]), track_id=np.array([3, 3, 4, -1])
    )
    index, palette = box_colors(boxes, by)
    colors = [tuple(color) for color in palette[index].tolist()]
    if by is ColorBy.CLASS:
        assert colors == [class_color(CLASS_NAMES[number]) for number in (0, 1, 0, 1)]
    else:
        assert colors[0] == colors[1] != colors[2]
        assert colors[3] not in {tuple(color) for color in TRACK_COLORS.tolist()}
