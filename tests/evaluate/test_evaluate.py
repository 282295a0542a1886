"""Evaluation says what a person who looks at the labels would say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fleetlabel.engine.evaluate import Report, evaluate
from fleetlabel.engine.evaluate.occlusion import visible_share
from fleetlabel.engine.evaluate.projection import project_labels
from fleetlabel.engine.evaluate.truth import load_truth
from fleetlabel.engine.ingest.testing import Scene, ingest, write_kitti, write_pandaset
from fleetlabel.geometry import quaternion
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import StoreNotFoundError, UsageError
from fleetlabel.model.motion import moved_to
from fleetlabel.store import SequenceStore
from fleetlabel.store.boxes import part_of
from fleetlabel.store.runs import declare_run

CAMERAS = ("back_camera", "front_camera")


@pytest.fixture
def store(tmp_path: Path) -> SequenceStore:
    write_pandaset(tmp_path / "drive", Scene(n_frames=6, n_objects=3, speed_mps=2.0))
    return ingest(tmp_path / "drive", tmp_path / "drive.zarr")


def seen_boxes(store: SequenceStore, boxes: Boxes3D, camera: str) -> Boxes2D:
    """What a perfect detector finds of cuboids in a camera."""
    truth = load_truth(store, "ground_truth").views[camera]
    chosen = np.isin(truth.track_id, boxes.track_id)
    return Boxes2D(
        class_names=("car",),
        frame=truth.frame[chosen],
        timestamp_ns=store.info.frame_timestamp_ns[truth.frame[chosen]],
        class_id=np.zeros(int(chosen.sum()), np.int16),
        track_id=truth.track_id[chosen],
        source=np.full(int(chosen.sum()), Source.TRACKER),
        xyxy_px=truth.xyxy_px[chosen],
    )


def write_version(store: SequenceStore, name: str, boxes: Boxes3D) -> Report:
    """A label version of these cuboids and the 2D boxes of their tracks, evaluated."""
    columns = boxes.columns() | {
        "source": np.full(len(boxes), Source.SMOOTHED),
        "class_id": np.zeros(len(boxes)),
    }
    made = Boxes3D.from_columns(("car",), columns)
    flat = {camera: seen_boxes(store, boxes, camera) for camera in CAMERAS}
    store.write_labels(name, flat, made, class_names=("car",), provenance={})
    return evaluate(store, name)


def values(report: Report, section: str, range_m: tuple[float, float] = (0.0, 40.0)) -> dict[str, float]:
    return dict(next(r for r in report.sections[section] if r.cls == "car" and r.range_m == range_m).values)


def test_the_truth_itself_is_perfect(store: SequenceStore) -> None:
    report = write_version(store, "perfect", store.labels3d("ground_truth"))
    found = values(report, "3D")
    for name in (
        "ap_0.5m",
        "ap_2m",
        "recall",
        "precision",
        "recall_at_p0.75",
        "hota",
        "hota_iou",
        "mota",
        "idf1",
    ):
        assert found[name] == pytest.approx(1.0), name
    assert found["truth"] > 0
    for name in ("recall", "precision", "ap_50", "hota", "mota", "idf1"):
        assert values(report, "2D")[name] == pytest.approx(1.0), name


def test_frames_that_nobody_labelled_say_nothing(store: SequenceStore) -> None:
    """Such as those between nuScenes' samples."""
    truth = store.labels3d("ground_truth")
    write_version(store, "every_frame", truth)
    sparse = truth.take(truth.frame % 2 == 0)
    names = truth.class_names
    store.write_labels("sparse", {}, sparse, class_names=names, provenance={"labelled_frames": [0, 2, 4]})
    report = evaluate(store, "every_frame", "sparse")
    for section in ("3D", "2D"):
        found = values(report, section)
        assert (found["recall"], found["precision"]) == (1.0, 1.0)
    assert any("3 frames of 6" in line for line in report.statement)
    store.write_labels("careless", {}, sparse, class_names=names, provenance={})
    assert values(evaluate(store, "every_frame", "careless"), "3D")["precision"] < 0.6


def test_missed_frames_cost_recall_and_shifted_ones_precision_too(store: SequenceStore) -> None:
    truth = load_truth(store, "ground_truth")
    seen = truth.visible
    late = truth.boxes.frame >= 2
    found = values(write_version(store, "late", truth.boxes.take(late)), "3D")
    assert found["recall"] == pytest.approx((seen & late).sum() / seen.sum())
    assert (found["precision"], found["idsw"]) == (1.0, 0)
    aside = np.where(late, 0.0, 3.0)[:, None] * [0, 1, 0]
    shifted = truth.boxes.replace(center_m=truth.boxes.center_m + aside)
    found = values(write_version(store, "shifted", shifted), "3D")
    assert found["recall"] == pytest.approx((seen & late).sum() / seen.sum())
    assert found["precision"] < 1.0
    assert found["ap_4m"] > found["ap_2m"]


def test_what_no_sensor_could_see_is_neither_missed_nor_wrong(store: SequenceStore) -> None:
    truth = load_truth(store, "ground_truth")
    hidden = ~truth.visible
    assert hidden.any()
    found = values(write_version(store, "seen", truth.boxes.take(truth.visible)), "3D")
    assert (found["recall"], found["precision"]) == (1.0, 1.0)
    found = values(write_version(store, "all", truth.boxes), "3D")
    assert (found["recall"], found["precision"]) == (1.0, 1.0)


def test_how_many_points_an_object_needs_can_be_said(store: SequenceStore) -> None:
    truth = load_truth(store, "ground_truth")
    many = int(np.median(truth.n_points[truth.visible])) + 1
    write_version(store, "all", truth.boxes)
    report = evaluate(store, "all", min_points=many)
    near = truth.visible & (truth.n_points >= many) & (truth.range_m < 40.0) & (truth.name == "car")
    assert 0 < near.sum() < (truth.visible & (truth.name == "car")).sum()
    assert values(report, "3D")["truth"] == near.sum()
    assert f"at least {many} lidar points" in report.statement[0]


def test_lift_scores_follow_detections_to_their_cuboids(store: SequenceStore) -> None:
    """Detections in both cameras' pictures; every cuboid 0.7 m off and turned by 4 degrees, front and back
    swapped.
    """
    truth = store.labels3d("ground_truth")
    n_frames, times = store.info.n_frames, store.info.frame_timestamp_ns
    detect = declare_run(store, "detect", {})
    lift = declare_run(store, "lift", {}, {"detect": detect.run_id})
    off = truth.center_m + np.array([0.7, 0.0, 0.0])
    turned = quaternion.multiply(
        quaternion.from_yaw(np.full(len(truth), np.pi + np.radians(4.0))), truth.q_wxyz
    )
    columns = truth.columns() | {"center_m": off, "q_wxyz": turned, "class_id": np.zeros(len(truth))}
    cuboids = Boxes3D.from_columns(("car",), columns)
    member = np.full((len(truth), len(CAMERAS)), -1, dtype=np.int32)
    for k, camera in enumerate(CAMERAS):
        found = seen_boxes(store, truth, camera)
        ptr = found.frame_ptr(n_frames)
        for row in range(len(found)):
            same = (truth.frame == found.frame[row]) & (truth.track_id == found.track_id[row])
            member[np.flatnonzero(same)[0], k] = row - ptr[found.frame[row]]
        table = store.declare_boxes(detect.table_path(camera), found.class_names)
        table.write(0, part_of(found, 0, n_frames, times))
    table = store.declare_boxes(lift.table_path("all"), ("car",), cameras=list(CAMERAS))
    table.write(0, part_of(cuboids, 0, n_frames, times, {"detection_by_camera": member}))
    runs = {"detect": detect.run_id, "lift": lift.run_id}
    store.write_labels("lifted", {}, cuboids, class_names=("car",), provenance={"runs": runs})
    scores = values(evaluate(store, "lifted"), "lift")
    assert scores["found"] > 0
    assert (scores["lifted"], scores["within_1m"], scores["within_0.5m"]) == (1.0, 1.0, 0.0)
    assert scores["yaw_median_deg"] == pytest.approx(4.0)
    assert scores["yaw_under_8deg"] == 1.0


def test_kitti_rules_see_a_perfect_copy_as_perfect(tmp_path: Path) -> None:
    write_kitti(tmp_path / "drive", Scene(n_frames=5, n_objects=3), pictures=False, velodyne=False)
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    flat, solid = store.labels2d("ground_truth", "image_02"), store.labels3d("ground_truth")
    store.write_labels(
        "copy",
        {"image_02": flat.replace(source=np.full(len(flat), Source.TRACKER))},
        solid.replace(source=np.full(len(solid), Source.TRACKER)),
        class_names=flat.class_names,
        provenance={},
    )
    report = evaluate(store, "copy", rules="kitti")
    for section in ("2D", "3D"):
        scores = report.sections[section][0].values
        assert (scores["hota"], scores["mota"], scores["idf1"]) == pytest.approx((1.0, 1.0, 1.0))
    without_lidar = evaluate(store, "copy")
    assert any("no lidar points" in sentence for sentence in without_lidar.statement)
    assert values(without_lidar, "2D")["recall"] == 1.0


def test_kitti_rules_leave_out_frames_that_nobody_labelled(tmp_path: Path) -> None:
    write_kitti(tmp_path / "drive", Scene(n_frames=6, n_objects=3), pictures=False, velodyne=False)
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    solid, names = store.labels3d("ground_truth"), store.labels("ground_truth").class_names
    flat = {camera: store.labels2d("ground_truth", camera) for camera in store.labels("ground_truth").cameras}
    store.write_labels("every_frame", flat, solid, class_names=names, provenance={})
    sparse = {camera: boxes.take(boxes.frame % 2 == 0) for camera, boxes in flat.items()}
    for name, said in (("sparse", {"labelled_frames": [0, 2, 4]}), ("careless", {})):
        store.write_labels(name, sparse, solid.take(solid.frame % 2 == 0), class_names=names, provenance=said)
    found = evaluate(store, "every_frame", "sparse", rules="kitti").headline
    assert found
    assert all(value == pytest.approx(1.0) for value in found.values())
    careless = evaluate(store, "every_frame", "careless", rules="kitti").headline
    assert careless["Car 2D mota"] < 0.9


def test_a_report_is_json_and_a_table(store: SequenceStore) -> None:
    report = write_version(store, "perfect", store.labels3d("ground_truth"))
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["rules"] == "visible"
    assert told["sections"]["3D"][0]["range_m"] == [0.0, 40.0]
    console = Console(width=200, record=True, file=None, quiet=True)
    report.print(console)


def test_bad_questions_are_refused(store: SequenceStore) -> None:
    with pytest.raises(StoreNotFoundError, match="no labels 'nobody'"):
        evaluate(store, "nobody")
    with pytest.raises(UsageError, match="choose visible or kitti"):
        evaluate(store, "ground_truth", rules="coco")
    with pytest.raises(UsageError, match="no 2D boxes, which KITTI's rules need"):
        evaluate(store, "ground_truth", rules="kitti")


def test_cuboids_move_along_their_tracks() -> None:
    frame = np.array([0, 0, 1, 2])
    boxes = Boxes3D(
        class_names=("car",),
        frame=frame,
        timestamp_ns=frame * 100_000_000,
        class_id=np.zeros(4),
        track_id=np.array([1, 2, 1, 1]),
        center_m=np.array([[0.0, 0, 0], [5, 5, 0], [1, 0, 0], [3, 0, 0]]),
        size_lwh_m=np.ones((4, 3)),
        q_wxyz=quaternion.from_yaw(np.array([0.0, 0, 0.2, 0.2])),
        velocity_mps=np.array([[0, 0, 0], [0, 10, 0], [0, 0, 0], [0, 0, 0]], dtype=np.float32),
    )
    center, q_wxyz = moved_to(boxes, boxes.timestamp_ns + 50_000_000)
    np.testing.assert_allclose(center[:, 0], [0.5, 5, 2, 4])
    np.testing.assert_allclose(center[1], [5, 5.5, 0])
    np.testing.assert_allclose(quaternion.yaw_of(q_wxyz), [0.1, 0, 0.2, 0.2], atol=1e-12)
    still, _ = moved_to(boxes, boxes.timestamp_ns)
    np.testing.assert_array_equal(still, boxes.center_m)


def test_a_nearer_object_hides_what_is_behind_it(store: SequenceStore) -> None:
    camera = "front_camera"
    sensor = store.info.sensor(camera)
    exposed_ns = store.camera(camera).timestamp_ns[:1]
    world_from_camera = (store.info.trajectory.at(exposed_ns) @ sensor.ego_from_sensor)[0]
    ahead = world_from_camera[:3, 2]
    aside = world_from_camera[:3, 0]
    center = world_from_camera[:3, 3] + np.array([8 * ahead, 16 * ahead, 16 * ahead + 9 * aside])
    boxes = Boxes3D(
        class_names=("car",),
        frame=np.zeros(3),
        timestamp_ns=np.repeat(exposed_ns, 3),
        class_id=np.zeros(3),
        center_m=center,
        size_lwh_m=np.full((3, 3), 2.0),
        q_wxyz=np.tile(quaternion.IDENTITY, (3, 1)),
    )
    seen = project_labels(store, boxes, camera)
    assert seen.visible.all()
    share = visible_share(store, boxes, camera, seen.xyxy_px)
    assert share[0] == 1.0
    assert share[1] == 0.0
    assert share[2] == 1.0
