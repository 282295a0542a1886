"""Tracks in pictures take the id of the cuboid track that their detections went into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.ingest.testing import Scene, ingest, write_pandaset
from fleetlabel.engine.pipeline.linking import add_lost, link_tracks
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore, Table
from fleetlabel.store.boxes import part_of

CAMERAS = ["front_camera", "back_camera"]


def boxes2d(rows: list[tuple[int, int, int]]) -> Boxes2D:
    """Rows of (frame, track, detection in its frame)."""
    frame, track, detection = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    n = len(frame)
    return Boxes2D(
        class_names=("car",), frame=frame, timestamp_ns=frame, class_id=np.zeros(n), track_id=track,
        detection=detection, xyxy_px=np.zeros((n, 4)),
    )  # fmt: skip


def boxes3d(rows: list[tuple[int, int, int]]) -> Boxes3D:
    """Rows of (frame, track, lifted row in its frame)."""
    frame, track, detection = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    n = len(frame)
    return Boxes3D(
        class_names=("car",), frame=frame, timestamp_ns=frame, class_id=np.zeros(n), track_id=track,
        detection=detection, center_m=np.zeros((n, 3)), size_lwh_m=np.ones((n, 3)),
        q_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    write_pandaset(tmp_path / "drive", Scene(n_frames=4, n_objects=1))
    return ingest(tmp_path / "drive", tmp_path / "drive.zarr")


def lifted(store: SequenceStore, rows: list[tuple[int, int, int]]) -> Table:
    """A lift table with rows of (frame, detection in the front camera, detection in the back camera)."""
    frame, front, back = np.array(rows, dtype=np.int64).T
    table = store.declare_boxes("runs/lift/test/all", ("car",), cameras=CAMERAS)
    boxes = boxes3d([(f, -1, -1) for f in frame])
    members = {"detection_by_camera": np.stack([front, back], axis=1).astype(np.int32)}
    for start, stop in ((0, 1), (1, 4)):
        mine = (boxes.frame >= start) & (boxes.frame < stop)
        part = part_of(
            boxes.take(mine), start, stop, store.info.frame_timestamp_ns[start:stop],
            {name: column[mine] for name, column in members.items()},
        )  # fmt: skip
        table.write(start, part)
    return table


def test_an_object_has_one_id_in_the_world_and_in_every_picture(store: SequenceStore) -> None:
    table = lifted(store, [(0, 1, -1), (0, 0, 2), (1, 0, 0), (2, 0, -1)])
    cuboids = boxes3d([(0, 10, 0), (0, 20, 1), (1, 20, 0), (2, 20, 0)])
    linked = link_tracks(
        {
            "front_camera": boxes2d([(0, 1, 1), (0, 2, 0), (1, 2, 0), (2, 2, 0)]),
            "back_camera": boxes2d([(0, 1, 2), (1, 1, 0)]),
        },
        cuboids,
        table,
    )
    assert linked["front_camera"].track_id.tolist() == [10, 20, 20, 20]
    assert linked["back_camera"].track_id.tolist() == [20, 20]


def test_a_cuboid_never_gets_two_boxes_in_one_picture_and_the_rest_get_fresh_ids(
    store: SequenceStore,
) -> None:
    # Two picture tracks of one cuboid track overlap in frame 1: the one with more votes wins.
    table = lifted(store, [(0, 0, -1), (1, 0, -1), (2, 1, -1)])
    cuboids = boxes3d([(0, 5, 0), (1, 5, 0), (2, 5, 0)])
    front = boxes2d([(0, 1, 0), (1, 1, 0), (1, 2, 1), (2, 2, 1), (3, 9, -1)])
    linked = link_tracks({"front_camera": front, "back_camera": boxes2d([(3, 1, 0)])}, cuboids, table)
    assert linked["front_camera"].track_id.tolist() == [5, 5, 6, 6, 7]
    assert linked["back_camera"].track_id.tolist() == [8]


def test_broken_picture_tracks_of_one_cuboid_are_joined(store: SequenceStore) -> None:
    table = lifted(store, [(0, 0, -1), (3, 0, -1)])
    front = boxes2d([(0, 1, 0), (3, 2, 0)])
    linked = link_tracks(
        {"front_camera": front, "back_camera": boxes2d([])}, boxes3d([(0, 4, 0), (3, 4, 0)]), table
    )
    assert linked["front_camera"].track_id.tolist() == [4, 4]
    assert len(linked["back_camera"]) == 0


def test_a_detection_that_only_a_cuboid_track_kept_becomes_its_box(store: SequenceStore) -> None:
    # Detections of the front camera: of track 2 in frame 0; of nobody in frames 1 and 2; one in frame 3 that no
    # cuboid was made of. In frame 2 the object has a box already.
    table = lifted(store, [(0, 1, -1), (1, 0, -1), (2, 1, -1)])
    cuboids = boxes3d([(0, 8, 0), (1, 8, 0), (2, 8, 0)])
    linked = {"front_camera": boxes2d([(0, 8, 1), (2, 8, -1)]), "back_camera": boxes2d([])}
    found = {
        "front_camera": boxes2d([(0, -1, 0), (0, -1, 1), (1, -1, 0), (2, -1, 0), (2, -1, 1), (3, -1, 0)]),
        "back_camera": boxes2d([]),
    }
    found["front_camera"] = found["front_camera"].replace(xyxy_px=np.arange(24.0).reshape(6, 4))
    complete = add_lost(linked, found, cuboids, table)
    front = complete["front_camera"]
    assert front.frame.tolist() == [0, 1, 2]
    assert front.track_id.tolist() == [8, 8, 8]
    assert front.detection.tolist() == [1, 0, -1]
    assert front.xyxy_px[1].tolist() == [8.0, 9.0, 10.0, 11.0]
    assert len(complete["back_camera"]) == 0


def test_a_detection_where_another_track_has_a_box_already_is_not_doubled(store: SequenceStore) -> None:
    table = lifted(store, [(0, 0, -1), (1, 0, -1)])
    cuboids = boxes3d([(0, 8, 0), (1, 8, 0)])
    there = {
        "front_camera": boxes2d([(0, 9, -1), (1, 9, -1)]).replace(
            xyxy_px=np.array([[0.0, 0, 10, 10], [40, 0, 50, 10]])
        ),
        "back_camera": boxes2d([]),
    }
    found = {
        "front_camera": boxes2d([(0, -1, 0), (1, -1, 0)]).replace(
            xyxy_px=np.array([[0.0, 0, 10, 9], [0, 0, 10, 9]])
        ),
        "back_camera": boxes2d([]),
    }
    front = add_lost(there, found, cuboids, table)["front_camera"]
    assert [front.frame.tolist(), front.track_id.tolist()] == [[0, 1, 1], [9, 9, 8]]
