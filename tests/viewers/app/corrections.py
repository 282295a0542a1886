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
from viewers.app.mistakes import (
    EDGE_PX,
    FRAMES,
    MIDDLE,
    RISE_M,
    SHIFT_M,
    TOO_LONG_M,
    TRACK,
    TURN_RAD,
    Street,
)

Check = Callable[[Snapshot], None]
Inputs = Callable[[Editor], list[Input]]


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
    inputs: Inputs
    check: Check
    camera: str = ""


def _cuboid(now: Snapshot, object_id: int, frame: int):
    boxes = now.boxes(object_id).cuboids
    return boxes.take(boxes.frame == frame)


def _is_at(street: Street, name: str, track: str, frames: tuple[int, ...], within_m: float = 0.12) -> Check:
    def check(now: Snapshot) -> None:
        for frame in frames:
            box = _cuboid(now, TRACK[track], frame)
            assert len(box) == 1, f"{track} has no box at frame {frame}"
            off = np.linalg.norm(box.center_m[0] - street.at(name, frame).center_m)
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


def _headed(track: str, frame: int, yaw: float, within: float = 0.04) -> Check:
    def check(now: Snapshot) -> None:
        off = math.remainder(_yaw(now, track, frame) - yaw, math.tau)
        assert abs(off) < within, f"{track} is turned by {math.degrees(off):.1f} degrees"

    return check


def _sized(track: str, size: tuple[float, float, float], within: float = 0.12) -> Check:
    def check(now: Snapshot) -> None:
        boxes = now.boxes(TRACK[track]).cuboids
        assert np.abs(boxes.size_lwh_m - size).max() < within, boxes.size_lwh_m[0]
        assert len(boxes) == FRAMES

    return check


def _spans(track: str, first: int, last: int) -> Check:
    def check(now: Snapshot) -> None:
        frames = now.boxes(TRACK[track]).cuboids.frame
        assert (frames[0], frames[-1]) == (first, last), (frames[0], frames[-1])

    return check


def _gone(track: str) -> Check:
    def check(now: Snapshot) -> None:
        assert now.state.get(TRACK[track]) is None

    return check


def _turn_knob(editor: Editor) -> list[Input]:
    at = hands.knob(editor)
    return [Drag(at, hands.about_middle(editor, at, -TURN_RAD))]


def _merge_click(other: str):
    """The other one is clicked in the scene, where both are seen."""
    return lambda editor: [Key("m"), click(hands.object_in_scene(editor, TRACK[other]))]


def _draw_missing(street: Street) -> Inputs:
    def inputs(editor: Editor) -> list[Input]:
        box, eye = street.at("missing", MIDDLE), editor.session.orbit.eye_m
        cloud = editor.cache.cloud(MIDDLE).world_m
        own = cloud[np.all(np.abs(box.local(cloud)) <= 0.5 * np.array(box.size_lwh_m), axis=1)]
        own = own[np.argsort(np.linalg.norm(own - eye, axis=1))]
        for x, y, z in own[own[:, 2] > box.center_m[2] - 0.2].tolist():
            # A point of it that nothing stands before.
            met = hands.met_in_scene(editor, (x, y, z))
            if met is not None and np.all(np.abs(box.local(met)) <= 0.5 * np.array(box.size_lwh_m)):
                return [Key("n", (), hands.in_scene(editor, (x, y, z))), Key("enter")]
        raise AssertionError("no point of the object is to be seen")

    return inputs


def _born(street: Street, name: str) -> Check:
    def check(now: Snapshot) -> None:
        wanted = street.at(name, MIDDLE)
        told = []
        for object_id in [i for i in now.object_ids.tolist() if i >= 1_000_000_000]:
            box = _cuboid(now, object_id, MIDDLE)
            if not len(box):
                continue
            off = float(np.linalg.norm(box.center_m[0] - wanted.center_m))
            yaw = float(quaternion.yaw_of(box.q_wxyz)[0])
            turned = abs(math.remainder(yaw - wanted.yaw_rad, math.pi))
            frames = now.boxes(object_id).cuboids.frame
            told.append((off, turned, int(frames[0]), int(frames[-1])))
            if off < street.tolerance_m and turned < 0.12 and len(frames) > FRAMES // 2:
                return
        raise AssertionError(f"nothing was made where {name} is: {told}")

    return check


def _flat_to_solid(street: Street) -> Inputs:
    def inputs(editor: Editor) -> list[Input]:
        boxes = editor.source.pictures_at(street.flat_camera, MIDDLE)
        x1, y1, x2, y2 = boxes.xyxy_px[boxes.track_id == TRACK["flat"]][0]
        return [Key("n", (), hands.in_picture(editor, (x1 + x2) / 2, (y1 + y2) / 2)), Key("enter")]

    return inputs


def _pull_edge(street: Street) -> Inputs:
    def inputs(editor: Editor) -> list[Input]:
        box = editor.picture_box(street.edge_camera)
        assert box is not None
        middle = (box[1] + box[3]) / 2
        return [
            Drag(hands.in_picture(editor, box[2], middle), hands.in_picture(editor, box[2] - EDGE_PX, middle))
        ]

    return inputs


def _edge_right(street: Street) -> Check:
    def check(now: Snapshot) -> None:
        camera = street.edge_camera
        boxes = now.boxes(TRACK["edge"]).pictures[camera]
        box = boxes.xyxy_px[boxes.frame == MIDDLE][0]
        before = now.base.boxes2d(camera, TRACK["edge"])
        was = before.xyxy_px[before.frame == MIDDLE][0]
        assert (camera, MIDDLE) in now[TRACK["edge"]].boxes
        assert abs(was[2] - EDGE_PX - box[2]) < 3.5, (was, box)
        assert np.allclose(was[[0, 1, 3]], box[[0, 1, 3]])

    return check


def _draw_light(editor: Editor) -> list[Input]:
    return [
        Key("n", (), hands.in_picture(editor, 100.0, 34.0)),
        Drag(hands.in_picture(editor, 80.0, 20.0), hands.in_picture(editor, 110.0, 70.0)),
    ]


def _light_made(street: Street) -> Check:
    def check(now: Snapshot) -> None:
        for object_id in now.object_ids.tolist():
            box = now[object_id].boxes.get((street.light_camera, MIDDLE))
            if object_id >= 1_000_000_000 and box is not None:
                assert np.abs(np.array(box.xyxy_px) - [80.0, 20.0, 110.0, 70.0]).max() < 3.5, box
                assert now.class_of(object_id) == "traffic_light"
                assert not len(now.boxes(object_id).cuboids)
                return
        raise AssertionError("no 2D object was made")

    return check


def _drift_gone(street: Street) -> Check:
    def check(now: Snapshot) -> None:
        boxes = now.boxes(TRACK["drifting"]).cuboids
        assert now[TRACK["drifting"]].stationary is True
        assert np.ptp(boxes.center_m, axis=0).max() < 1e-6
        assert np.linalg.norm(boxes.center_m[0] - street.at("drifting", MIDDLE).center_m) < 0.2

    return check


def _split_off(now: Snapshot) -> None:
    assert now.boxes(TRACK["merged"]).cuboids.frame[-1] == MIDDLE - 1
    others = [i for i in now.object_ids.tolist() if i >= 1_000_000_000]
    spans = [tuple(now.boxes(i).cuboids.frame[[0, -1]]) for i in others if len(now.boxes(i).cuboids)]
    assert (MIDDLE, FRAMES - 1) in spans


def _joined(street: Street) -> Check:
    def check(now: Snapshot) -> None:
        _gone("split on")(now)
        frames = now.boxes(TRACK["split"]).cuboids.frame
        assert np.array_equal(frames, np.arange(FRAMES))
        _is_at(street, "split", "split", (2, 11, 12, 20), 0.4)(now)

    return check


def _unswapped(street: Street) -> Check:
    def check(now: Snapshot) -> None:
        for name in ("swapped", "swapped too"):
            _is_at(street, name, name, (2, 20))(now)

    return check


def _occluded(now: Snapshot) -> None:
    assert now[TRACK["twice"]].flag(Flag.OCCLUSION).at(MIDDLE) == 2
    assert now.boxes(TRACK["twice"]).cuboids.occlusion[MIDDLE] == 2


def _absent(now: Snapshot) -> None:
    assert MIDDLE + 2 not in now.boxes(TRACK["twice"]).cuboids.frame


def _renamed(now: Snapshot) -> None:
    assert now.class_of(TRACK["misnamed"]) == "car"


def _accepted(now: Snapshot) -> None:
    assert now[TRACK["edge"]].accepted.at(MIDDLE) is True


def _front(editor: Editor, aside_m: float) -> tuple[float, float, float]:
    box = editor.shown_pose()
    assert box is not None
    return (box.size_lwh_m[0] / 2, aside_m, 0.0)


def _pull_front(editor: Editor) -> list[Input]:
    return _drag(Side.TOP, _front(editor, 0.3), (-TOO_LONG_M, 0.0, 0.0))(editor)


def _click_front(editor: Editor) -> list[Input]:
    return [click(hands.in_pane(editor, Side.TOP, _front(editor, 0.4)), "ctrl")]


def corrections_of(street: Street) -> tuple[Correction, ...]:
    """The standard corrections on a street."""
    at, m = street.at, MIDDLE
    aside = _drag(Side.TOP, (0.6, 0.1, 0.0), (0.0, -SHIFT_M, 0.0))
    down = _drag(Side.LATERAL, (0.5, 0.0, 0.1), (0.0, 0.0, -RISE_M))
    forward, along = at("reversed", 3).yaw_rad, at("turned", m).yaw_rad
    long, short = at("oversized", m).size_lwh_m, at("face", m).size_lwh_m
    edge, flat, light = street.edge_camera, street.flat_camera, street.light_camera
    solid = _flat_to_solid(street)
    return (
        Correction("shift", "shifted", m, aside, _is_at(street, "shifted", "shifted", (m,))),
        Correction("wrong heading", "reversed", m, _over(Side.TOP, "g"), _headed("reversed", 3, forward)),
        Correction("heading off by some degrees", "turned", m, _turn_knob, _headed("turned", m, along)),
        Correction("wrong size", "oversized", m, _pull_front, _sized("oversized", long)),
        Correction("too high", "floating", m, down, _is_at(street, "floating", "floating", (m,))),
        Correction("face off its points", "face", m, _click_front, _sized("face", short, 0.25)),
        Correction("split identity", "split", 10, _keys("y"), _joined(street)),
        Correction("merged identity", "merged", m, _keys("m", held=("alt",)), _split_off),
        Correction("swapped identities", "swapped", m, _merge_click("swapped too"), _unswapped(street)),
        Correction("one object twice", "twice", m, _merge_click("again"), _gone("again")),
        Correction("missing object", street.beside, m, _draw_missing(street), _born(street, "missing")),
        Correction("missing cuboid of a 2D box", None, m, solid, _born(street, "flat"), flat),
        Correction("false object", "false", m, _keys("delete"), _gone("false")),
        Correction("late birth", "late", 2, _keys("["), _spans("late", 2, FRAMES - 1)),
        Correction("early death", "dying early", 22, _keys("]"), _spans("dying early", 0, 22)),
        Correction("born too early", "too early", 7, _keys("["), _spans("too early", 7, FRAMES - 1)),
        Correction("wrong class", "misnamed", m, _keys("1"), _renamed),
        Correction("drift of a parked car", "drifting", m, _keys("t"), _drift_gone(street)),
        Correction("2D edge", "edge", m, _pull_edge(street), _edge_right(street), edge),
        Correction("missing 2D object", "light", m, _draw_light, _light_made(street), light),
        Correction("occluded", "twice", m, _keys("q"), _occluded),
        Correction("absent", "twice", m + 2, _keys("o"), _absent),
        Correction("good as it is", "edge", m, _keys("enter"), _accepted),
    )
