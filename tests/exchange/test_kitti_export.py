"""KITTI round trips: what was read comes out again, and other programs read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.engine.evaluate import evaluate
from fleetlabel.engine.exchange import StoredLabels, export_labels, writable_format
from fleetlabel.engine.exchange.kitti_rows import kitti_rows
from fleetlabel.engine.ingest.kitti_labels import rect_boxes, world_boxes
from fleetlabel.engine.ingest.testing import (
    PANDASET_CAMERAS,
    Scene,
    camera_model,
    ingest,
    write_kitti,
    write_pandaset,
)
from fleetlabel.geometry import quaternion, se3, yaw
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import StoreExistsError
from fleetlabel.store import SequenceStore

ALPHA, XYXY, HWL, LOCATION, ROTATION_Y = 2, slice(3, 7), slice(7, 10), slice(10, 13), 13


def export_kitti(store: SequenceStore, version: str, out: Path) -> list[str]:
    return list(export_labels(StoredLabels(store, version), writable_format("kitti"), out, version).notes)


def read_rows(path: Path) -> tuple[list[list[str]], F64]:
    """Heads (frame, id, type) and numbers, by frame, as in the file."""
    rows = sorted((line.split() for line in path.read_text().splitlines()), key=lambda row: int(row[0]))
    return [row[:3] for row in rows], np.array([[float(field) for field in row[3:]] for row in rows])


def corners_rect(numbers: F64) -> F64:
    """Corners (N, 8, 3) of KITTI cuboids, written out by hand."""
    height, width, length = numbers[:, HWL].T
    sign = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-1, 0) for z in (-0.5, 0.5)])
    local = sign * np.stack([length, height, width], axis=1)[:, None]
    cos, sin = np.cos(numbers[:, ROTATION_Y])[:, None], np.sin(numbers[:, ROTATION_Y])[:, None]
    x, y, z = local[..., 0], local[..., 1], local[..., 2]
    turned = np.stack([cos * x + sin * z, y, -sin * x + cos * z], axis=-1)
    return turned + numbers[:, None, LOCATION]


def assert_same_labels(before: Path, after: Path) -> None:
    heads, numbers = read_rows(before)
    new_heads, new_numbers = read_rows(after)
    assert new_heads == heads
    np.testing.assert_array_equal(new_numbers[:, :2], numbers[:, :2])  # truncation, occlusion
    np.testing.assert_allclose(new_numbers[:, XYXY], numbers[:, XYXY], atol=1e-3)
    solid = (numbers[:, HWL] > 0).all(axis=1)
    corners = corners_rect(numbers[solid])
    np.testing.assert_allclose(corners_rect(new_numbers[solid]), corners, atol=1e-6)
    np.testing.assert_allclose(new_numbers[~solid, 7:14], numbers[~solid, 7:14], atol=1e-9)


def perturbed(store: SequenceStore, seed: int) -> str:
    """A label version like a tracker's: shifted, with gaps, swaps and clutter."""
    random = np.random.default_rng(seed)
    flat, solid = store.labels2d("ground_truth", "image_02"), store.labels3d("ground_truth")
    named = [name for name in ("Car", "Pedestrian") if name in flat.class_names]
    keep = np.isin(flat.class_labels(), named) & ~flat.ignore & (random.random(len(flat)) < 0.85)
    flat = flat.take(keep)
    renamed = flat.track_id + 500 * (random.random(len(flat)) < 0.05) + 1
    flat = flat.replace(
        track_id=renamed,
        xyxy_px=flat.xyxy_px + random.normal(0, 3.0, (len(flat), 4)),
        source=np.full(len(flat), Source.TRACKER),
        score=random.random(len(flat)),
        truncation=np.full(len(flat), np.nan),
        occlusion=np.full(len(flat), -1),
    )
    flat = flat.take(flat.xyxy_px[:, 2] - flat.xyxy_px[:, 0] > 1)
    n = 2 * store.info.n_frames
    corner = random.uniform(0, 100, (n, 2))
    frame = np.repeat(np.arange(store.info.n_frames), 2)
    clutter = Boxes2D(
        class_names=flat.class_names,
        frame=frame,
        timestamp_ns=store.info.frame_timestamp_ns[frame],
        class_id=np.full(n, flat.class_names.index("Car")),
        track_id=10_000 + np.arange(n) % 7,
        source=np.full(n, Source.TRACKER),
        score=random.random(n),
        xyxy_px=np.concatenate([corner, corner + random.uniform(5, 90, (n, 2))], axis=1),
    )
    solid = solid.take(np.isin(solid.class_labels(), named))
    solid = solid.replace(
        track_id=solid.track_id + 1,
        center_m=solid.center_m + random.normal(0, 0.1, (len(solid), 3)),
        source=np.full(len(solid), Source.TRACKER),
        score=random.random(len(solid)),
    )
    store.write_labels(
        f"tracker{seed}",
        {"image_02": Boxes2D.concatenate([flat, clutter])},
        solid,
        class_names=flat.class_names,
        provenance={},
    )
    return f"tracker{seed}"


def assert_trackeval_agrees(store: SequenceStore, folder: Path, trackeval: Callable[..., object]) -> None:
    version = perturbed(store, 3)
    export_kitti(store, "ground_truth", folder / "truth")
    export_kitti(store, version, folder / "results")
    theirs = trackeval(folder / "truth", folder / "results")
    ours = {row.cls: row.values for row in evaluate(store, version, rules="kitti").sections["2D"]}
    names = {"HOTA": "hota", "DetA": "deta", "AssA": "assa", "LocA": "loca", "MOTA": "mota", "MOTP": "motp"}
    names |= {"IDF1": "idf1", "IDP": "idp", "IDR": "idr", "IDSW": "idsw", "Frag": "frag", "CLR_FP": "fp"}
    assert ours
    for cls, scores in ours.items():
        for name, field in names.items():
            assert scores[field] == pytest.approx(theirs[cls.lower()][name], abs=1e-6), (cls, name)


def test_labels_come_out_as_they_went_in(tmp_path: Path) -> None:
    write_kitti(tmp_path / "drive", Scene(n_frames=5, n_objects=4), pictures=False, velodyne=False)
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    export_kitti(store, "ground_truth", tmp_path / "out")
    assert_same_labels(tmp_path / "drive/label_02/0000.txt", tmp_path / "out/label_02/0000.txt")


def test_an_export_can_be_read_in_again(tmp_path: Path) -> None:
    write_kitti(tmp_path / "drive", Scene(n_frames=4, n_objects=3), pictures=False, velodyne=False)
    store = ingest(tmp_path / "drive", tmp_path / "one.zarr")
    export_kitti(store, "ground_truth", tmp_path / "out")
    again = ingest(tmp_path / "out", tmp_path / "two.zarr")
    one, two = store.labels3d("ground_truth"), again.labels3d("ground_truth")
    np.testing.assert_array_equal(two.track_id, one.track_id)
    np.testing.assert_allclose(two.corners_m(), one.corners_m(), atol=1e-6)


@pytest.mark.parametrize("sequence", ["0000", "0017"])
def test_real_labels_come_out_as_they_went_in(data_dir: Path, tmp_path: Path, sequence: str) -> None:
    source = data_dir / "kitti_tracking_dev"
    store = ingest(source, tmp_path / "drive.zarr", sequence)
    export_kitti(store, "ground_truth", tmp_path / "out")
    assert_same_labels(source / f"label_02/{sequence}.txt", tmp_path / f"out/label_02/{sequence}.txt")


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), near_pi=st.booleans())
def test_camera_frame_boxes_survive_any_pose(seed: int, near_pi: bool) -> None:
    random = np.random.default_rng(seed)
    n = 20
    q_wxyz = quaternion.normalize(random.normal(size=(n, 4)))
    world_from_rect = se3.transform(quaternion.to_matrix(q_wxyz), random.normal(0, 300, (n, 3)))
    hwl, location = random.uniform(0.2, 12, (n, 3)), random.uniform(-80, 80, (n, 3))
    turn = random.uniform(-np.pi, np.pi, n)
    if near_pi:
        turn = random.choice([-np.pi, np.pi], n) + random.choice([0, 1e-15, -1e-12, 1e-9, -1e-6], n)
    world = world_boxes(world_from_rect, hwl, location, turn)
    new_hwl, new_location, new_turn = rect_boxes(se3.invert(world_from_rect), *world)
    np.testing.assert_allclose(new_hwl, hwl, atol=1e-9)
    np.testing.assert_allclose(new_location, location, atol=1e-9)
    np.testing.assert_allclose(yaw.difference(new_turn, turn), 0, atol=1e-9)


def test_trackeval_reads_the_export_and_agrees(tmp_path: Path, trackeval: Callable[..., object]) -> None:
    write_kitti(tmp_path / "drive", Scene(n_frames=12, n_objects=5), pictures=False, velodyne=False)
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    assert_trackeval_agrees(store, tmp_path, trackeval)


@pytest.mark.slow
@pytest.mark.parametrize("sequence", ["0000", "0017"])
def test_trackeval_agrees_on_a_real_sequence(
    sequence: str, data_dir: Path, tmp_path: Path, trackeval: Callable[..., object]
) -> None:
    store = ingest(data_dir / "kitti_tracking_dev", tmp_path / "drive.zarr", sequence)
    assert_trackeval_agrees(store, tmp_path, trackeval)


def test_cuboids_alone_get_the_box_that_the_camera_sees(tmp_path: Path) -> None:
    scene = write_pandaset(tmp_path / "drive", Scene(n_frames=4, n_objects=4))
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    lines = export_kitti(store, "ground_truth", tmp_path / "out")
    assert sum("rows" in line for line in lines) == len(PANDASET_CAMERAS)
    labels = StoredLabels(store, "ground_truth")
    rows = kitti_rows(labels, "front_camera")
    assert not labels.scored
    sensor = store.info.sensor("front_camera")
    for frame in range(scene.n_frames):
        time_s = 0.1 * frame + PANDASET_CAMERAS["front_camera"][0]
        world_from_camera = scene.world_from_ego(np.array([time_s]))[0] @ sensor.ego_from_sensor
        expected = scene.boxes2d(camera_model(), world_from_camera, time_s)[1]
        found = rows.xyxy_px[rows.frame == frame]
        distance = np.abs(found[None] - expected[:, None]).max(axis=2)
        # Objects move on lines, so the way along the track is exact, but for the rounding of the log's times.
        assert (distance.min(axis=1) < 0.1).all()


def test_results_have_scores_and_foreign_classes_are_told(tmp_path: Path) -> None:
    write_pandaset(tmp_path / "drive", Scene(n_frames=2, n_objects=1))
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    truth = store.labels3d("ground_truth")
    names = ("car", "traffic_cone")
    columns = truth.columns() | {
        "source": np.full(len(truth), Source.SMOOTHED),
        "class_id": np.arange(len(truth)) % 2,
    }
    made = Boxes3D.from_columns(names, columns)
    store.write_labels("made", {}, made, class_names=names, provenance={})
    lines = export_kitti(store, "made", tmp_path / "out")
    assert any("1 boxes of class traffic_cone left out" in line for line in lines)
    row = (tmp_path / "out/front_camera/label_02/drive.txt").read_text().split("\n")[0].split()
    assert (len(row), row[2]) == (18, "Car")


def test_labels_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    write_kitti(tmp_path / "drive", Scene(n_frames=2), pictures=False, velodyne=False)
    store = ingest(tmp_path / "drive", tmp_path / "drive.zarr")
    export_kitti(store, "ground_truth", tmp_path / "out")
    with pytest.raises(StoreExistsError, match="already exists; remove it or choose another --out"):
        export_kitti(store, "ground_truth", tmp_path / "out")
