"""Slips of the hand: kept as they were set, and told apart from corrections."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.labels import Edit, Labels, explain
from fleetlabel.labels import edits as e

CAR = 1


def keyframes(labels: Labels, frames: tuple[int, ...], shift_m: dict[int, float]) -> list[Edit]:
    """The machine's cuboids as keyframes, some of them shifted to the side."""
    boxes = labels.base.boxes3d(CAR)
    rows = boxes.take(np.isin(boxes.frame, frames))
    heading = quaternion.yaw_of(rows.q_wxyz).tolist()
    return [
        e.SetKeyframe3D(
            object_id=CAR, frame=frame, center_m=(x, y + shift_m.get(frame, 0.0), z), yaw_rad=heading[row]
        )
        for row, (frame, (x, y, z)) in enumerate(
            zip(rows.frame.tolist(), rows.center_m.tolist(), strict=True)
        )
    ]


def test_a_keyframe_that_all_else_contradicts_is_told_and_kept(labels: Labels) -> None:
    edits = keyframes(labels, (3, 8, 12, 16), {12: 2.5})
    labels.commit(edits, author="ann")
    assert labels.now.slips(CAR) == (12,)
    cuboids = labels.now.boxes(CAR).cuboids
    slip = edits[2]
    assert isinstance(slip, e.SetKeyframe3D)
    assert tuple(cuboids.center_m[cuboids.frame == 12][0]) == slip.center_m
    assert explain(labels, CAR, 12).slips == (12,)


def test_a_correction_of_the_machine_is_no_slip(labels: Labels) -> None:
    labels.commit(keyframes(labels, (8,), {8: 2.5}), author="ann")
    assert labels.now.slips(CAR) == ()  # a person's word against the detector's
    labels.commit(keyframes(labels, (3, 8, 12, 16), dict.fromkeys((3, 8, 12, 16), 0.6)), author="ann")
    assert labels.now.slips(CAR) == ()


def test_boxes_in_pictures_are_judged_too(labels: Labels) -> None:
    boxes = labels.base.boxes2d("front", CAR)
    edges = dict(zip(boxes.frame.tolist(), boxes.xyxy_px, strict=True))
    frames = sorted(edges)[2:18:5]
    wrong = frames[1]
    for frame in frames:
        box = edges[frame] + (60.0 if frame == wrong else 0.0)
        x1, y1, x2, y2 = box.tolist()
        edit = e.SetKeyframe2D(object_id=CAR, frame=frame, camera="front", xyxy_px=(x1, y1, x2, y2))
        labels.commit([edit], author="ann")
    assert labels.now.slips(CAR, "front") == (wrong,)
