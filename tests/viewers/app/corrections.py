"""The standard corrections: what is wrong, what hands do once it is on the screen, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.labels import Flag, Snapshot
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.panes import Side
from viewers.app import hands
from viewers.app.hands import Drag, Input, Key, click
from viewers.app.town import CAR, FRAMES, MIDDLE, TRACK, truth


@dataclass(frozen=True)
class Correction:
    """One mistake and its correction.

    Attributes:
        name: of the mistake.
        track: that is selected first; None if nothing is.
        frame: that is on the screen.
        inputs: what hands do.
        check: raises unless the labels are as they should be.
        camera: that is enlarged first.
    """

    name: str
    track: str | None
    frame: int
    inputs: Callable[[Editor], list[Input]]
    check: Callable[[Snapshot], None]
    camera: str = ""


def _cuboid(now: Snapshot, object_id: int, frame: int):
    boxes = now.boxes(object_id).cuboids
    return boxes.take(boxes.frame == frame)


def _is_at(
    name: str, track: str, frames: tuple[int, ...], within_m: float = 0.12
) -> Callable[[Snapshot], None]:
    def check(now: Snapshot) -> None:
        for frame in frames:
            box = _cuboid(now, TRACK[track], frame)
            assert len(box) == 1, f"{track} has no box at frame {frame}"
            off = np.linalg.norm(box.center_m[0] - truth(name, frame))
            assert off < within_m, f"{track} is {off:.2f} m off at frame {frame}"

    return check


def _yaw(now: Snapshot, track: str, frame: int) -> float:
    return float(quaternion.yaw_of(_cuboid(now, TRACK[track], frame).q_wxyz)[0])


def _drag(side: Side, start_m: tuple[float, float, float], way_m: tuple[float, float, float]):
    def inputs(editor: Editor) -> list[Input]:
        stop = tuple(a + b for a, b in zip(start_m, way_m, strict=True))
        return [Drag(hands.in_pane(editor, side, start_m), hands.in_pane(editor, side, stop))]

    return inputs


def _keys(*keys: str, held: tuple[str, ...] = ()):
    return lambda editor: [Key(key, held) for key in keys]


def _over(side: Side, key: str, held: tuple[str, ...] = ()):
    return lambda editor: [Key(key, held, hands.in_pane(editor, side, (0.0, 0.0, 0.0)))]


def _headed(track: str, frame: int, yaw: float, within: float = 0.04) -> Callable[[Snapshot], None]:
    def check(now: Snapshot) -> None:
        off = math.remainder(_yaw(now, track, frame) - yaw, math.tau)
        assert abs(off) < within, f"{track} is turned by {math.degrees(off):.1f} degrees"

    return check


def _sized(track: str, size: tuple[float, float, float], within: float = 0.12) -> Callable[[Snapshot], None]:
    def check(now: Snapshot) -> None:
        boxes = now.boxes(TRACK[track]).cuboids
        assert np.abs(boxes.size_lwh_m - size).max() < within, boxes.size_lwh_m[0]
        assert len(boxes) == FRAMES

    return check


def _spans(track: str, first: int, last: int) -> Callable[[Snapshot], None]:
    def check(now: Snapshot) -> None:
        frames = now.boxes(TRACK[track]).cuboids.frame
        assert (frames[0], frames[-1]) == (first, last), (frames[0], frames[-1])

    return check


def _gone(track: str) -> Callable[[Snapshot], None]:
    def check(now: Snapshot) -> None:
        assert now.state.get(TRACK[track]) is None

    return check


def _turn_knob(editor: Editor) -> list[Input]:
    at = hands.knob(editor)
    return [Drag(at, hands.about_middle(editor, at, math.radians(-14)))]


def _merge_click(other: str):
    return lambda editor: [Key("m"), click(hands.list_row(editor, TRACK[other]))]


def _draw_missing(editor: Editor) -> list[Input]:
    x, y, z = truth("missing", MIDDLE)
    return [Key("n", (), hands.in_scene(editor, (x, y, z + CAR[2] / 2))), Key("enter")]


def _born(now: Snapshot, near: tuple[float, float, float]) -> None:
    made = [i for i in now.object_ids.tolist() if i >= 1_000_000_000]
    for object_id in made:
        box = _cuboid(now, object_id, MIDDLE)
        if len(box) and np.linalg.norm(box.center_m[0] - near) < 0.35:
            frames = now.boxes(object_id).cuboids.frame
            assert (frames[0], frames[-1]) == (0, FRAMES - 1)
            yaw = float(quaternion.yaw_of(box.q_wxyz)[0])
            assert abs(math.remainder(yaw, math.pi)) < 0.1, yaw
            return
    raise AssertionError(f"nothing was made near {near}: {made}")


def _flat_to_solid(editor: Editor) -> list[Input]:
    boxes = editor.source.pictures_at("right", MIDDLE)
    x1, y1, x2, y2 = boxes.xyxy_px[boxes.track_id == TRACK["flat"]][0]
    return [Key("n", (), hands.in_picture(editor, (x1 + x2) / 2, (y1 + y2) / 2)), Key("enter")]


def _pull_edge(editor: Editor) -> list[Input]:
    _, y1, x2, y2 = editor.picture_box("left")
    middle = (y1 + y2) / 2
    return [Drag(hands.in_picture(editor, x2, middle), hands.in_picture(editor, x2 - 40.0, middle))]


def _edge_right(now: Snapshot) -> None:
    boxes = now.boxes(TRACK["edge"]).pictures["left"]
    item = now[TRACK["edge"]]
    box = boxes.xyxy_px[boxes.frame == MIDDLE][0]
    before = now.base.boxes2d("left", TRACK["edge"])
    was = before.xyxy_px[before.frame == MIDDLE][0]
    assert ("left", MIDDLE) in item.boxes
    assert abs(was[2] - 40.0 - box[2]) < 1.5
    assert np.allclose(was[[0, 1, 3]], box[[0, 1, 3]])


def _draw_light(editor: Editor) -> list[Input]:
    return [
        Key("n", (), hands.in_picture(editor, 100.0, 30.0)),
        Drag(hands.in_picture(editor, 90.0, 20.0), hands.in_picture(editor, 104.0, 50.0)),
    ]


def _light_made(now: Snapshot) -> None:
    for object_id in now.object_ids.tolist():
        item = now[object_id]
        box = item.boxes.get(("front", MIDDLE))
        if object_id >= 1_000_000_000 and box is not None:
            assert np.abs(np.array(box.xyxy_px) - [90.0, 20.0, 104.0, 50.0]).max() < 1.5
            assert now.class_of(object_id) == "traffic_light"
            assert not len(now.boxes(object_id).cuboids)
            return
    raise AssertionError("no 2D object was made")


def _drift_gone(now: Snapshot) -> None:
    boxes = now.boxes(TRACK["drifting"]).cuboids
    assert now[TRACK["drifting"]].stationary is True
    assert np.ptp(boxes.center_m, axis=0).max() < 1e-6
    assert np.linalg.norm(boxes.center_m[0] - truth("drifting", MIDDLE)) < 0.2


def _split_off(now: Snapshot) -> None:
    assert now.boxes(TRACK["merged"]).cuboids.frame[-1] == MIDDLE - 1
    others = [i for i in now.object_ids.tolist() if i >= 1_000_000_000]
    spans = [tuple(now.boxes(i).cuboids.frame[[0, -1]]) for i in others if len(now.boxes(i).cuboids)]
    assert (MIDDLE, FRAMES - 1) in spans


def _joined(now: Snapshot) -> None:
    _gone("split on")(now)
    frames = now.boxes(TRACK["split"]).cuboids.frame
    assert np.array_equal(frames, np.arange(FRAMES))
    _is_at("split", "split", (2, 11, 12, 20), 0.25)(now)


def _unswapped(now: Snapshot) -> None:
    _is_at("swapped", "swapped", (2, 20))(now)
    _is_at("swapped too", "swapped too", (2, 20))(now)


def _occluded(now: Snapshot) -> None:
    assert now[TRACK["twice"]].flag(Flag.OCCLUSION).at(MIDDLE) == 2
    assert now.boxes(TRACK["twice"]).cuboids.occlusion[MIDDLE] == 2


def _absent(now: Snapshot) -> None:
    assert MIDDLE + 2 not in now.boxes(TRACK["twice"]).cuboids.frame


def _renamed(now: Snapshot) -> None:
    assert now.class_of(TRACK["misnamed"]) == "car"


def _accepted(now: Snapshot) -> None:
    assert now[TRACK["edge"]].accepted.at(MIDDLE) is True


_SHIFT = (0.0, -0.7, 0.0)
CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "shift",
        "shifted",
        MIDDLE,
        _drag(Side.TOP, (0.6, 0.1, 0.0), _SHIFT),
        _is_at("shifted", "shifted", (12,)),
    ),
    Correction("wrong heading", "reversed", MIDDLE, _over(Side.TOP, "g"), _headed("reversed", 3, 0.0)),
    Correction("heading off by some degrees", "turned", MIDDLE, _turn_knob, _headed("turned", MIDDLE, 0.0)),
    Correction(
        "wrong size",
        "oversized",
        MIDDLE,
        _drag(Side.TOP, (3.0, 0.3, 0.0), (-1.5, 0.0, 0.0)),
        _sized("oversized", CAR),
    ),
    Correction(
        "too high",
        "floating",
        MIDDLE,
        _drag(Side.LATERAL, (0.5, 0.0, 0.1), (0.0, 0.0, -0.6)),
        _is_at("floating", "floating", (12,)),
    ),
    Correction(
        "a face off its points",
        "face",
        MIDDLE,
        lambda editor: [click(hands.in_pane(editor, Side.TOP, (1.8, 0.4, 0.0)), "ctrl")],
        _sized("face", CAR),
    ),
    Correction("split identity", "split", 10, _keys("y"), _joined),
    Correction("merged identity", "merged", MIDDLE, _keys("m", held=("alt",)), _split_off),
    Correction("swapped identities", "swapped", MIDDLE, _merge_click("swapped too"), _unswapped),
    Correction("one object twice", "twice", MIDDLE, _merge_click("again"), _gone("again")),
    Correction(
        "missing object", "swapped", MIDDLE, _draw_missing, lambda now: _born(now, truth("missing", 12))
    ),
    Correction(
        "missing cuboid of a 2D box",
        None,
        MIDDLE,
        _flat_to_solid,
        lambda now: _born(now, truth("flat", MIDDLE)),
        "right",
    ),
    Correction("false object", "false", MIDDLE, _keys("delete"), _gone("false")),
    Correction("late birth", "late", 2, _keys("["), _spans("late", 2, FRAMES - 1)),
    Correction("early death", "dying early", 22, _keys("]"), _spans("dying early", 0, 22)),
    Correction("born too early", "too early", 7, _keys("["), _spans("too early", 7, FRAMES - 1)),
    Correction("wrong class", "misnamed", MIDDLE, _keys("1"), _renamed),
    Correction("drift of a parked car", "drifting", MIDDLE, _keys("t"), _drift_gone),
    Correction("2D edge", "edge", MIDDLE, _pull_edge, _edge_right, "left"),
    Correction("missing 2D object", "light", MIDDLE, _draw_light, _light_made, "front"),
    Correction("occluded", "twice", MIDDLE, _keys("q"), _occluded),
    Correction("absent", "twice", MIDDLE + 2, _keys("o"), _absent),
    Correction("good as it is", "edge", MIDDLE, _keys("enter"), _accepted),
)
