from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fleetlabel.engine.ingest import SequenceSource, open_sequence
from fleetlabel.engine.ingest.pandaset_rig import parse_poses
from fleetlabel.engine.ingest.testing import PANDASET_CAMERAS, Scene, write_pandaset
from fleetlabel.geometry import quaternion, se3
from fleetlabel.model.boxes import Source
from ingest.contract import SourceContract

SCENE = Scene(n_frames=6, n_objects=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pandaset") / "drive"
    write_pandaset(folder, SCENE)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "drive"))


def world_points(source: SequenceSource, lidar: str, frame: int) -> np.ndarray:
    part, _ = source.read_sensor(lidar, frame, frame + 1)
    pose = (
        source.info.trajectory.at(part.samples["timestamp_ns"])[0] @ source.info.sensor(lidar).ego_from_sensor
    )
    return se3.apply(pose, part.flat["points"][:, :3].astype(np.float64)) + source.info.world_offset_m


class TestContract(SourceContract):
    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        if sensor in PANDASET_CAMERAS:
            return drive / "camera" / sensor / f"{frame:02d}.jpg"
        return drive / "lidar" / f"{frame:02d}.pkl.gz"


class TestAgainstTruth:
    def test_ego_poses_are_x_forward(self, written: Path) -> None:
        info = open_sequence(written).info
        truth = SCENE.world_from_ego(0.1 * np.arange(6))
        np.testing.assert_allclose(info.trajectory.at(info.frame_timestamp_ns), truth, atol=1e-6)

    def test_extrinsics_and_poses_place_every_picture(self, written: Path) -> None:
        source = open_sequence(written)
        for name, (offset_s, heading) in PANDASET_CAMERAS.items():
            sensor = source.info.sensor(name)
            part, _ = source.read_sensor(name, 0, 6)
            place = source.info.trajectory.at(part.samples["timestamp_ns"]) @ sensor.ego_from_sensor
            turn = quaternion.to_matrix(quaternion.from_yaw(np.array(heading)))
            forward = turn @ np.array([1.0, 0, 0])
            np.testing.assert_allclose(sensor.ego_from_sensor[:3, 2], forward, atol=2e-3)
            np.testing.assert_allclose(sensor.ego_from_sensor[:3, 3], turn @ [1.0, 0, 0.2], atol=5e-3)
            file_poses = se3.from_pose(
                parse_poses(json.loads((written / "camera" / name / "poses.json").read_text()), written)
            )
            np.testing.assert_allclose(place, file_poses, atol=1e-9)
            assert offset_s < 0

    def test_timestamps_are_the_files_digits(self, written: Path) -> None:
        source = open_sequence(written)
        for name in PANDASET_CAMERAS:
            text = (written / "camera" / name / "timestamps.json").read_text()
            exact = [int(Decimal(time.strip()) * 10**9) for time in text.strip("[]").split(",")]
            assert source.read_sensor(name, 0, 6)[0].samples["timestamp_ns"].tolist() == exact

    def test_points_come_back_to_the_world_with_time_and_intensity(self, written: Path) -> None:
        source = open_sequence(written)
        for lidar, number in {"pandar64": 0, "pandar_gt": 1}.items():
            table = pd.read_pickle(written / "lidar" / "02.pkl.gz")
            table = table[table.d == number]
            np.testing.assert_allclose(world_points(source, lidar, 2), table[["x", "y", "z"]], atol=1e-5)
            part, _ = source.read_sensor(lidar, 2, 3)
            np.testing.assert_array_equal(part.flat["points"][:, 3], table["i"])
            seconds = (
                part.samples["timestamp_ns"][0] + part.flat["point_time_offset_ns"].astype(np.int64)
            ) / 1e9
            np.testing.assert_allclose(seconds, table["t"], atol=1e-6)

    def test_one_box_per_object_and_frame_the_spinning_lidars(self, written: Path) -> None:
        truth = open_sequence(written).ground_truth()
        assert truth is not None
        boxes = truth.boxes3d
        assert boxes is not None
        assert boxes.frame.tolist() == [frame for frame in range(6) for _ in range(3)]
        assert boxes.track_id.tolist() == [0, 1, 2] * 6
        center, size, yaw = (
            np.concatenate(each) for each in zip(*(SCENE.objects(0.1 * f) for f in range(6)), strict=True)
        )
        np.testing.assert_allclose(boxes.center_m, center, atol=1e-9)
        np.testing.assert_allclose(boxes.size_lwh_m, size, atol=1e-9)
        turned = quaternion.rotate(boxes.q_wxyz, np.array([1.0, 0, 0]))
        np.testing.assert_allclose(turned[:, :2], np.stack([np.cos(yaw), np.sin(yaw)], axis=1), atol=1e-9)
        assert (boxes.source == Source.GROUND_TRUTH).all()
        assert np.isnan(boxes.truncation).all()
        assert (boxes.occlusion == -1).all()
        assert truth.class_names == ("Car",)
        assert truth.provenance["track_uuids"] == ["object-0", "object-1", "object-2"]
        assert "not kept" in truth.notes[0]

    def test_a_log_in_utm_is_recentred_and_the_offset_kept(self, tmp_path: Path) -> None:
        scene = Scene(n_frames=3, n_objects=2, start_m=(551_234.56, 4_182_345.67, 12.3))
        write_pandaset(tmp_path / "utm", scene)
        source = open_sequence(tmp_path / "utm")
        info = source.info
        np.testing.assert_allclose(info.world_offset_m, scene.start_m, atol=1.5)
        assert (info.world_offset_m == np.round(info.world_offset_m)).all()
        poses = info.trajectory.at(info.frame_timestamp_ns)
        assert np.abs(poses[:, :3, 3]).max() < 100
        truth = scene.world_from_ego(0.1 * np.arange(3))
        np.testing.assert_allclose(poses[:, :3, 3] + info.world_offset_m, truth[:, :3, 3], atol=1e-6)
        table = pd.read_pickle(tmp_path / "utm/lidar/01.pkl.gz")
        np.testing.assert_allclose(
            world_points(source, "pandar64", 1), table[table.d == 0][["x", "y", "z"]], atol=1e-5
        )
        labels = source.ground_truth()
        assert labels is not None
        assert labels.boxes3d is not None
        expected = scene.objects(0.0)[0]
        np.testing.assert_allclose(labels.boxes3d.center_m[:2] + info.world_offset_m, expected, atol=1e-6)


def siblings(folder: Path, frames: dict[int, list[tuple[str, str, int, str]]]) -> None:
    """Writes cuboids (uuid, sibling, sensor, label), 10 m apart by uuid, sensors 0.5 m apart."""
    for frame in range(SCENE.n_frames):
        rows = frames.get(frame, [])
        table = pd.DataFrame(
            {
                "uuid": pd.Series([row[0] for row in rows], dtype=object),
                "label": pd.Series([row[3] for row in rows], dtype=object),
                "yaw": np.zeros(len(rows)),
                "position.x": np.array([10.0 * ord(row[0][0]) + 0.5 * row[2] for row in rows]),
                **{name: np.zeros(len(rows)) for name in ("position.y", "position.z")},
                **{f"dimensions.{axis}": np.ones(len(rows)) for axis in "xyz"},
                "cuboids.sibling_id": pd.Series([row[1] for row in rows], dtype=object),
                "cuboids.sensor_id": np.array([row[2] for row in rows], dtype=np.int64),
            }
        )
        table.to_pickle(folder / "annotations" / "cuboids" / f"{frame:02d}.pkl.gz")


class TestSiblings:
    def test_a_link_in_one_frame_joins_the_whole_sequence(self, drive: Path) -> None:
        siblings(
            drive,
            {
                0: [("a", "-", 1, "Car")],
                1: [("a", "b", 1, "Car"), ("b", "-", 0, "Car")],
                3: [("b", "-", 0, "Car")],
                4: [("a", "-", 1, "Car")],
            },
        )
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert truth.boxes3d.frame.tolist() == [0, 1, 3, 4]
        assert truth.boxes3d.track_id.tolist() == [0, 0, 0, 0]
        # Frame 1 has both boxes: the spinning lidar's stays (b at 980 m, a at 970.5 m).
        assert truth.boxes3d.center_m[:, 0].tolist() == [970.5, 980.0, 980.0, 970.5]

    def test_links_to_nowhere_and_to_itself_join_nothing(self, drive: Path) -> None:
        siblings(drive, {0: [("a", "gone", 0, "Car"), ("b", "b", 1, "Car"), ("c", "-", -1, "Bus")]})
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert truth.boxes3d.track_id.tolist() == [0, 1, 2]

    def test_an_object_has_the_class_that_most_of_its_boxes_have(self, drive: Path) -> None:
        siblings(
            drive,
            {
                0: [("a", "b", 0, "Motorcycle"), ("b", "a", 1, "Bicycle")],
                1: [("a", "b", 0, "Motorcycle")],
                2: [("b", "a", 1, "Bicycle")],
            },
        )
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert truth.boxes3d.class_labels().tolist() == ["Motorcycle"] * 3

    def test_two_objects_that_one_lidar_sees_side_by_side_stay_two(self, drive: Path) -> None:
        siblings(drive, {0: [("a", "b", 0, "Car"), ("b", "a", 0, "Car")]})
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert truth.boxes3d.track_id.tolist() == [0, 1]
        assert any("sibling links" in note for note in truth.notes)


@pytest.fixture(scope="module")
def real(data_dir: Path) -> SequenceSource:
    return open_sequence(data_dir / "pandaset_drive")


class TestRealDrive:
    def test_description(self, real: SequenceSource) -> None:
        assert real.warnings == ()
        assert real.info.n_frames == 24
        assert len(real.info.sensors) == 8
        assert {(s.camera.width_px, s.camera.height_px) for s in real.info.sensors if s.camera} == {
            (1920, 1080)
        }
        assert real.info.world_offset_m.tolist() == [0, 0, 0]

    def test_points_come_back_within_a_tenth_of_a_millimetre(
        self, real: SequenceSource, data_dir: Path
    ) -> None:
        for frame in (0, 23):
            table = pd.read_pickle(data_dir / f"pandaset_drive/lidar/{frame:02d}.pkl.gz")
            for lidar, number in {"pandar64": 0, "pandar_gt": 1}.items():
                expected = table[table.d == number][["x", "y", "z"]].to_numpy()
                assert np.abs(world_points(real, lidar, frame) - expected).max() < 2e-5

    def test_points_lie_ahead_of_a_vehicle_that_drives_forward(self, real: SequenceSource) -> None:
        """The forward-facing lidar sees ahead, and the ego frame moves along its own x axis."""
        part, _ = real.read_sensor("pandar_gt", 5, 6)
        ego = se3.apply(
            real.info.sensor("pandar_gt").ego_from_sensor, part.flat["points"][:, :3].astype(np.float64)
        )
        assert np.median(np.abs(np.degrees(np.arctan2(ego[:, 1], ego[:, 0])))) < 30
        poses = real.info.trajectory.at(real.info.frame_timestamp_ns)
        moved = se3.apply(se3.invert(poses[10]), poses[15, :3, 3][None])[0]
        assert moved[0] > 1.5
        assert abs(moved[1]) < 0.1

    def test_pictures_are_placed_as_the_source_places_them(
        self, real: SequenceSource, data_dir: Path
    ) -> None:
        """At 30 m: nowhere more than 1.5 px from the source's own poses, and all but the back camera exact."""
        for sensor in real.info.sensors[:6]:
            assert sensor.camera is not None
            poses = json.loads((data_dir / f"pandaset_drive/camera/{sensor.name}/poses.json").read_text())
            expected = se3.from_pose(parse_poses(poses, data_dir))
            part, _ = real.read_sensor(sensor.name, 0, 24)
            ours = real.info.trajectory.at(part.samples["timestamp_ns"]) @ sensor.ego_from_sensor
            point = np.array([[3.0, 1.0, 30.0]])
            shift = [
                np.abs(
                    sensor.camera.project(se3.apply(se3.invert(mine) @ theirs, point))[0]
                    - sensor.camera.project(point)[0]
                ).max()
                for mine, theirs in zip(ours, expected, strict=True)
            ]
            assert max(shift) < (1.5 if sensor.name == "back_camera" else 1e-3)

    def test_identities(self, real: SequenceSource) -> None:
        truth = real.ground_truth()
        assert truth is not None
        boxes = truth.boxes3d
        assert boxes is not None
        assert truth.quarantined == ()
        # 120 uuids, of which 25 pairs name one object.
        assert len(np.unique(boxes.track_id)) == 95
        assert len(np.unique(np.stack([boxes.frame, boxes.track_id]), axis=1).T) == len(boxes)
        assert len(boxes) == 2258

    def test_cuboids_hold_the_points_of_their_cars(self, real: SequenceSource) -> None:
        """Sizes or yaw permuted would lose most points: near parked cars have hundreds inside."""
        truth = real.ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        boxes = truth.boxes3d.take(truth.boxes3d.frame == 4)
        points = world_points(real, "pandar64", 4)
        ego = real.info.trajectory.at(real.info.frame_timestamp_ns)[4][:3, 3]
        near = np.flatnonzero(
            (np.linalg.norm(boxes.center_m - ego, axis=1) < 20) & (boxes.class_labels() == "Car")
        )
        assert len(near) >= 5
        shares = []
        for row in near:
            local = quaternion.rotate(quaternion.conjugate(boxes.q_wxyz[row]), points - boxes.center_m[row])
            above_ground = local[:, 2] > -0.5 * boxes.size_lwh_m[row, 2] + 0.3
            around = (np.abs(local[:, :2]) < 0.5 * boxes.size_lwh_m[row, :2].max() + 0.3).all(
                axis=1
            ) & above_ground
            inside = (np.abs(local) < 0.5 * boxes.size_lwh_m[row] + 0.05).all(axis=1) & above_ground
            if around.sum() >= 50:
                shares.append(inside.sum() / around.sum())
        assert len(shares) >= 5
        assert np.median(shares) > 0.85
