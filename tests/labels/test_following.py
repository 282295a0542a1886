"""Cuboid and pictures of one object: what moves one moves the other."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlabel.labels import Labels
from fleetlabel.labels import edits as e
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import EditError
from fleetlabel.model.projection import project_at
from fleetlabel.store import SequenceStore
from labels.scenes import NAMES, copied_store, cuboids, open_labels, pictures


def seen(labels: Labels, boxes: Boxes3D, camera: str = "front") -> np.ndarray:
    info = labels.store.info
    times = info.frame_timestamp_ns[boxes.frame]
    return project_at(info.sensor(camera), info.trajectory, boxes, times).xyxy_px


def test_the_whole_object_s_box_is_the_cuboid_s_and_what_was_seen_stays(labels: Labels) -> None:
    before = labels.now.boxes(1).pictures["front"]
    labels.commit(
        [e.SetKeyframe3D(object_id=1, frame=5, center_m=(14.0, -8.0, 1.0), yaw_rad=0.0)], author="ann"
    )
    after = labels.now.boxes(1)
    front = after.pictures["front"]
    np.testing.assert_array_equal(front.xyxy_px, before.xyxy_px)
    there = np.isin(after.cuboids.frame, front.frame)
    np.testing.assert_allclose(front.amodal_xyxy_px, seen(labels, after.cuboids)[there])


def test_a_box_that_was_only_filled_in_moves_with_the_cuboid(tmp_path: object) -> None:
    root = tmp_path / "drive.zarr"  # type: ignore[operator]
    store = copied_store(root)
    solid, flat = cuboids(), pictures(cuboids())
    filled = flat["front"].detection % 2 == 0
    front = flat["front"].replace(
        detection=np.where(filled, -1, flat["front"].detection),
        source=np.where(filled, Source.INTERPOLATED, Source.DETECTOR).astype(np.uint8),
    )
    store.write_labels("newer", {"front": front}, solid, class_names=NAMES, provenance={})
    labels = Labels.open(SequenceStore.open(root), "newer")
    before = labels.now.boxes(1)
    labels.commit(
        [e.SetKeyframe3D(object_id=1, frame=5, center_m=(14.0, -8.0, 1.0), yaw_rad=0.0)], author="ann"
    )
    after = labels.now.boxes(1)
    one, two = before.pictures["front"], after.pictures["front"]
    moved = (one.xyxy_px != two.xyxy_px).any(axis=1)
    assert moved.any()
    assert (one.detection[moved] < 0).all()
    shift = seen(labels, after.cuboids) - seen(labels, before.cuboids)
    rows = np.searchsorted(after.cuboids.frame, two.frame[moved])
    np.testing.assert_allclose((two.xyxy_px - one.xyxy_px)[moved], shift[rows], atol=1e-6)


def test_an_object_that_people_made_is_in_every_picture_that_shows_it(labels: Labels) -> None:
    new_id = labels.new_id()
    poses = {2: (20.0, 0.0, 1.0), 6: (24.0, 0.0, 1.0)}
    keys = [
        e.SetKeyframe3D(object_id=new_id, frame=f, center_m=c, yaw_rad=0.0, size_lwh_m=(4.0, 2.0, 1.6))
        for f, c in poses.items()
    ]
    labels.commit([e.CreateObject(object_id=new_id, class_name="car"), *keys], author="ann")
    boxes = labels.now.boxes(new_id)
    assert list(boxes.pictures) == ["front"]
    front = boxes.pictures["front"]
    assert front.frame.tolist() == boxes.cuboids.frame.tolist() == [2, 3, 4, 5, 6]
    np.testing.assert_allclose(front.xyxy_px, seen(labels, boxes.cuboids))
    labels.commit([e.SetAbsent(object_id=new_id, start=3, stop=4, camera="front")], author="ann")
    boxes = labels.now.boxes(new_id)
    assert (len(boxes.cuboids), boxes.pictures["front"].frame.tolist()) == (5, [2, 4, 5, 6])


def test_a_box_in_the_picture_moves_the_cuboid_along_the_ray(labels: Labels) -> None:
    """The box of a car that is elsewhere: the cuboid goes there, as seen from the camera."""
    cuboid = labels.now.boxes(2).cuboids
    row = int(np.flatnonzero(cuboid.frame == 4)[0])
    goal = cuboid.take(slice(row, row + 1)).replace(center_m=cuboid.center_m[[row]] * 1.4 + [0.0, 1.5, -0.5])
    wanted = seen(labels, goal)[0]
    flat, solid = labels.now.box_edits(2, "front", 4, tuple(wanted.tolist()))
    assert flat.xyxy_px == tuple(wanted.tolist())
    np.testing.assert_allclose(solid.center_m, goal.center_m[0], atol=0.15)
    after = labels.now.after([flat, solid]).boxes(2)
    moved = after.cuboids.take(after.cuboids.frame == 4)
    found = seen(labels, moved)[0]
    np.testing.assert_allclose(found[3] - found[1], wanted[3] - wanted[1], rtol=0.01)
    np.testing.assert_allclose(found[:2] + found[2:], wanted[:2] + wanted[2:], atol=2.0)


def test_the_cuboid_goes_by_the_whole_object_where_a_part_is_hidden(labels: Labels) -> None:
    cuboid = labels.now.boxes(2).cuboids
    row = int(np.flatnonzero(cuboid.frame == 4)[0])
    x1, y1, x2, y2 = seen(labels, cuboid.take(slice(row, row + 1)))[0].tolist()
    visible, whole = (x1, y1, 0.5 * (x1 + x2), y2), (x1, y1, x2, y2)
    flat, solid = labels.now.box_edits(2, "front", 4, visible, whole)
    assert (flat.xyxy_px, flat.amodal_xyxy_px) == (visible, whole)
    np.testing.assert_allclose(solid.center_m, cuboid.center_m[row], atol=0.02)
    after = labels.now.after([flat, solid]).boxes(2).pictures["front"]
    at = int(np.flatnonzero(after.frame == 4)[0])
    assert (after.xyxy_px[at].tolist(), after.amodal_xyxy_px[at].tolist()) == (list(visible), list(whole))


def test_a_box_without_a_cuboid_moves_none(labels: Labels) -> None:
    labels.commit([e.SetAbsent(object_id=2, start=4, stop=5)], author="ann")
    box = (10.0, 10.0, 50.0, 50.0)
    assert [edit.kind for edit in labels.now.box_edits(2, "front", 4, box)] == ["set_keyframe_2d"]
    with pytest.raises(EditError, match="rear does not see the cuboid"):
        labels.now.box_edits(3, "rear", 14, box)


def test_a_2d_keyframe_leaves_cuboids_as_they_were(labels: Labels) -> None:
    before = labels.now.boxes(1).cuboids
    box = (100.0, 200.0, 180.0, 260.0)
    labels.commit([e.SetKeyframe2D(object_id=1, camera="front", frame=5, xyxy_px=box)], author="ann")
    after = open_labels(labels.store.root).now.boxes(1)
    np.testing.assert_array_equal(after.cuboids.center_m, before.center_m)
    assert after.pictures["front"].source[5] == Source.HUMAN
    assert after.solved == {"front"}
