from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.ingest import SequenceSource, list_sequences, open_sequence
from fleetlabel.engine.ingest.kitti_calib import KittiCalib, camera_from_rect, read_calib
from fleetlabel.engine.ingest.kitti_labels import rect_boxes, world_boxes
from fleetlabel.engine.ingest.kitti_tracking import world_from_imu
from fleetlabel.engine.ingest.testing import Scene, write_kitti
from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry import quaternion, se3
from fleetlabel.model.errors import SourceError
from fleetlabel.store import SampleStatus
from ingest.contract import SourceContract

SCENE = Scene(n_frames=5, n_objects=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitti") / "drive"
    write_kitti(folder, SCENE)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "drive"))


class TestContract(SourceContract):
    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        ending = "bin" if sensor == "velodyne" else "png"
        return drive / sensor / "0000" / f"{frame:06d}.{ending}"


def devkit_corners(hwl: np.ndarray, location: np.ndarray, rotation_y: float) -> np.ndarray:
    """Corners (8, 3) in the rectified frame as KITTI's development kit computes them (computeBox3D.m)."""
    h, w, length = hwl
    x = np.array([1, 1, -1, -1, 1, 1, -1, -1]) * length / 2
    y = np.array([0, 0, 0, 0, -1, -1, -1, -1]) * h
    z = np.array([1, -1, -1, 1, 1, -1, -1, 1]) * w / 2
    c, s = np.cos(rotation_y), np.sin(rotation_y)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.asarray((turn @ np.stack([x, y, z])).T + location)


def sorted_rows(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(np.round(points, 5).T)]


def label_rows(path: Path) -> list[list[str]]:
    return sorted((line.split() for line in path.read_text().splitlines()), key=lambda row: int(row[0]))


positive = st.floats(0.1, 20)
coordinate = st.floats(-150, 150)
angle = st.one_of(
    st.floats(-np.pi, np.pi), st.sampled_from([np.pi, -np.pi, np.pi - 1e-9, -np.pi + 1e-9, 0.0])
)


class TestBoxConvention:
    @given(
        hwl=st.tuples(positive, positive, positive),
        location=st.tuples(coordinate, coordinate, coordinate),
        rotation_y=angle,
        ego=st.tuples(st.floats(-3, 3), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(-1e4, 1e4)),
    )
    def test_any_box_is_the_development_kits_and_comes_back(
        self, hwl: tuple[float, ...], location: tuple[float, ...], rotation_y: float, ego: tuple[float, ...]
    ) -> None:
        yaw, pitch, roll, place = ego
        q = quaternion.from_yaw(np.array(yaw))
        for axis, turned in ((2, pitch), (1, roll)):
            q = quaternion.multiply(
                q, np.eye(4)[0] * np.cos(turned / 2) + np.eye(4)[axis] * np.sin(turned / 2)
            )
        world_from_ego = se3.transform(quaternion.to_matrix(q), np.array([place, -place, 5.0]))
        calib = KittiCalib.from_dict(_calib_dict())
        world_from_rect = (world_from_ego @ calib.ego_from_rect)[None]
        given_boxes = np.array([hwl]), np.array([location]), np.array([rotation_y])
        center, size, q_wxyz = world_boxes(world_from_rect, *given_boxes)
        corners = se3.apply(se3.invert(world_from_rect[0]), cuboids.corners(center, size, q_wxyz)[0])
        expected = devkit_corners(given_boxes[0][0], given_boxes[1][0], rotation_y)
        nearest = np.linalg.norm(corners[:, None] - expected[None], axis=2).min(axis=1)
        assert nearest.max() < 1e-6
        back = rect_boxes(se3.invert(world_from_rect), center, size, q_wxyz)
        np.testing.assert_allclose(back[0], given_boxes[0], atol=1e-9)
        np.testing.assert_allclose(back[1], given_boxes[1], atol=1e-7)
        assert abs((back[2][0] - rotation_y + np.pi) % (2 * np.pi) - np.pi) < 1e-9

    @given(st.tuples(st.floats(-30, 30), st.floats(-5, 5), st.floats(1, 80)))
    def test_projection_is_exactly_p2(self, point: tuple[float, float, float]) -> None:
        calib = KittiCalib.from_dict(_calib_dict())
        in_rect = np.array([point])
        p2 = calib.projections["P2"]
        u, v, w = p2 @ np.append(in_rect[0], 1.0)
        in_ego = se3.apply(calib.ego_from_rect, in_rect)
        in_camera = se3.apply(se3.invert(calib.ego_from_camera("P2")), in_ego)
        k = p2[:, :3]
        ours = (k @ in_camera[0])[:2] / in_camera[0, 2]
        np.testing.assert_allclose(ours, [u / w, v / w], atol=1e-9)


def _calib_dict() -> dict[str, object]:
    """Calibration of sequence 0000's recording day, read from the text that KITTI prints."""
    rows = {
        "P2": "721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884",
        "velo": "0.007533745 -0.9999714 -0.000616602 0.01480249 0.0007280733 -0.9998902 0.9998621 0.00752379 "
        "0.01480755",
        "imu": "0.9999976 0.0007553071 -0.002035826 -0.0007854027 0.9998898 -0.01482298 0.002024406 0.01482454 "
        "0.9998881",
    }
    values = {name: np.array(text.split(), dtype=np.float64) for name, text in rows.items()}

    def rigid(name: str, translation: list[float]) -> np.ndarray:
        return se3.transform(
            quaternion.to_matrix(quaternion.from_matrix(values[name].reshape(3, 3))), np.array(translation)
        )

    return {
        "P2": values["P2"].reshape(3, 4).tolist(),
        "rect_from_velo": rigid("velo", [-0.00407, -0.07632, -0.2718]).tolist(),
        "velo_from_imu": rigid("imu", [-0.80868, 0.31956, -0.79972]).tolist(),
    }


class TestAgainstTruth:
    def test_times_are_ten_hertz(self, written: Path) -> None:
        assert open_sequence(written).info.frame_timestamp_ns.tolist() == [f * 100_000_000 for f in range(5)]

    def test_cuboids_are_where_the_cars_are(self, written: Path) -> None:
        source = open_sequence(written)
        truth = source.ground_truth()
        assert truth is not None
        boxes = truth.boxes3d
        assert boxes is not None
        for row in range(len(boxes)):
            center, size, _ = SCENE.objects(0.1 * int(boxes.frame[row]))
            which = int(boxes.track_id[row])
            # The camera is not level, so a box upright in its frame has its middle a little off.
            np.testing.assert_allclose(boxes.center_m[row], center[which], atol=0.02)
            np.testing.assert_allclose(boxes.size_lwh_m[row], size[which], atol=1e-6)

    def test_points_lie_on_the_cars(self, written: Path) -> None:
        """Poses, calibration and labels agree: written with the exact scene, read through the files."""
        source = open_sequence(written)
        part, _ = source.read_sensor("velodyne", 2, 3)
        sensor = source.info.sensor("velodyne")
        pose = source.info.trajectory.at(part.samples["timestamp_ns"])[0] @ sensor.ego_from_sensor
        world = se3.apply(pose, part.flat["points"][:, :3].astype(np.float64))
        np.testing.assert_allclose(world, SCENE.points_world(0.2), atol=1e-4)
        assert not sensor.motion_compensated

    def test_point_times_follow_the_azimuth(self, written: Path) -> None:
        part, _ = open_sequence(written).read_sensor("velodyne", 0, 1)
        azimuth = np.arctan2(part.flat["points"][:, 1], part.flat["points"][:, 0])
        np.testing.assert_allclose(part.flat["point_time_offset_ns"] / 1e8, azimuth / (2 * np.pi), atol=1e-6)

    def test_pictures_keep_their_bytes_though_they_are_png(self, written: Path) -> None:
        part, _ = open_sequence(written).read_sensor("image_02", 3, 4)
        assert part.flat["jpeg"].tobytes() == (written / "image_02/0000/000003.png").read_bytes()

    def test_labels_keep_every_column(self, written: Path) -> None:
        truth = open_sequence(written).ground_truth()
        assert truth is not None
        rows = label_rows(written / "label_02/0000.txt")
        boxes = truth.boxes2d["image_02"]
        assert boxes.class_labels().tolist() == [row[2] for row in rows]
        assert boxes.frame.tolist() == [int(row[0]) for row in rows]
        assert boxes.track_id.tolist() == [int(row[1]) for row in rows]
        assert boxes.truncation.tolist() == [float(row[3]) for row in rows]
        assert boxes.occlusion.tolist() == [int(row[4]) for row in rows]
        np.testing.assert_array_equal(boxes.xyxy_px, [[float(x) for x in row[6:10]] for row in rows])
        assert boxes.ignore.tolist() == [row[2] == "DontCare" for row in rows]
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == sum(row[2] != "DontCare" for row in rows)
        assert not truth.boxes3d.ignore.any()

    def test_official_gps_files_give_the_same_path(self, drive: Path) -> None:
        """oxts rows made by inverting KITTI's own formula from the poses of ``ego_pose``."""
        poses = SCENE.world_from_ego(0.1 * np.arange(5))
        latitude0, longitude0, radius = 49.0, 8.4, 6_378_137.0
        scale = np.cos(np.radians(latitude0))
        east = poses[:, 0, 3] + scale * np.radians(longitude0) * radius
        north = poses[:, 1, 3] + scale * radius * np.log(np.tan(np.pi / 4 + np.radians(latitude0) / 2))
        rows = np.zeros((5, 30))
        rows[:, 0] = np.degrees(2 * np.arctan(np.exp(north / (radius * scale))) - np.pi / 2)
        rows[:, 1] = np.degrees(east / (scale * radius))
        rows[:, 5] = SCENE.yaw_rate_rps * 0.1 * np.arange(5)
        np.testing.assert_allclose(world_from_imu(rows), poses, atol=1e-6)
        (drive / "oxts").mkdir()
        text = "\n".join(" ".join(repr(value) for value in row) for row in rows.tolist())
        (drive / "oxts/0000.txt").write_text(text)
        (drive / "ego_pose/0000.json").unlink()
        info = open_sequence(drive).info
        np.testing.assert_allclose(info.trajectory.at(info.frame_timestamp_ns), poses, atol=1e-5)


class TestWithoutSensors:
    def test_the_camera_is_there_for_its_labels(self, tmp_path: Path) -> None:
        write_kitti(tmp_path, SCENE, pictures=False, velodyne=False)
        source = open_sequence(tmp_path)
        assert [sensor.name for sensor in source.info.sensors] == ["image_02"]
        part, quarantined = source.read_sensor("image_02", 0, 5)
        assert quarantined == []
        assert part.samples["status"].tolist() == [SampleStatus.MISSING] * 5
        camera = source.info.sensor("image_02").camera
        assert camera is not None
        assert (camera.width_px, camera.height_px) == (192, 108)

    def test_its_size_holds_every_label(self, tmp_path: Path) -> None:
        write_kitti(tmp_path, SCENE, pictures=False, velodyne=False)
        path = tmp_path / "label_02/0000.txt"
        path.write_text(path.read_text().replace("20.75", "250.5"))
        camera = open_sequence(tmp_path).info.sensor("image_02").camera
        assert camera is not None
        assert (camera.width_px, camera.height_px) == (251, 108)


class TestCalib:
    @pytest.mark.parametrize("kitti_raw_names", [True, False])
    def test_spellings(self, drive: Path, kitti_raw_names: bool) -> None:
        path = drive / "calib/0000.txt"
        expected = read_calib(path).to_dict()
        text = path.read_text()
        if kitti_raw_names:
            text = text.replace("R0_rect:", "R_rect").replace("Tr_velo_to_cam:", "Tr_velo_cam")
            text = text.replace("Tr_imu_to_velo:", "Tr_imu_velo")
        path.write_text(text)
        assert read_calib(path).to_dict() == expected

    def test_description_comes_back_exactly(self, drive: Path) -> None:
        calib = read_calib(drive / "calib/0000.txt")
        again = KittiCalib.from_dict(json.loads(json.dumps(calib.to_dict())))
        np.testing.assert_array_equal(again.ego_from_camera("P2"), calib.ego_from_camera("P2"))
        np.testing.assert_array_equal(again.projections["P3"], calib.projections["P3"])

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("P2:", "Q2:", "has no P2"),
            ("Tr_imu_to_velo:", "Tr_x:", r"has no Tr_imu_velo \(nor Tr_imu_to_velo\)"),
            ("R0_rect: 0.9999239", "R0_rect: x", "could not convert"),
            ("R0_rect: 0.9999239", "R0_rect: 0.9999239 1", "found 10 columns, expected 9"),
            ("R0_rect: 0.9999239", "R0_rect: 0.5", "is not a rotation"),
            ("P2: 120 0", "P2: 120 7", "no pinhole"),
            ("P2: 120", "P2: nan", "finite"),
        ],
    )
    def test_broken_calibration_names_the_file(self, drive: Path, old: str, new: str, message: str) -> None:
        path = drive / "calib/0000.txt"
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(SourceError, match=r"0000\.txt.*" + message):
            open_sequence(drive)


class TestRealSequences:
    def test_every_row_of_every_sequence_comes_back(self, data_dir: Path) -> None:
        folder = data_dir / "kitti_tracking_dev"
        assert len(list_sequences(folder)) == 10
        for name in ("0000", "0017", "0020"):
            source = open_sequence(folder, name)
            truth = source.ground_truth()
            assert truth is not None
            boxes2d, boxes3d = truth.boxes2d["image_02"], truth.boxes3d
            assert boxes3d is not None
            rows = label_rows(folder / f"label_02/{name}.txt")
            solid = [row for row in rows if row[2] != "DontCare"]
            assert (len(boxes2d), len(boxes3d)) == (len(rows), len(solid))
            camera = source.info.sensor("image_02")
            rect_from_camera = se3.invert(camera_from_rect(np.array(source.info.source["calib"]["P2"])))
            world_from_rect = (
                source.info.trajectory.at(boxes3d.timestamp_ns)
                @ camera.ego_from_sensor
                @ se3.invert(rect_from_camera)
            )
            hwl, location, rotation_y = rect_boxes(
                se3.invert(world_from_rect), boxes3d.center_m, boxes3d.size_lwh_m, boxes3d.q_wxyz
            )
            expected = np.array([[float(value) for value in row[10:17]] for row in solid])
            assert np.abs(np.concatenate([hwl, location], axis=1) - expected[:, :6]).max() < 1e-9
            assert np.abs((rotation_y - expected[:, 6] + np.pi) % (2 * np.pi) - np.pi).max() < 1e-9
            assert (boxes3d.class_labels() == [row[2] for row in solid]).all()

    def test_cuboids_project_onto_their_picture_boxes(self, data_dir: Path) -> None:
        """An outside check of calibration and conventions: both boxes of a row were labelled independently."""
        source = open_sequence(data_dir / "kitti_tracking_dev", "0011")
        assert _median_iou(source) > 0.85


def _median_iou(source: SequenceSource) -> float:
    truth = source.ground_truth()
    assert truth is not None
    assert truth.boxes3d is not None
    boxes, flat = truth.boxes3d, truth.boxes2d["image_02"]
    flat = flat.take(~flat.ignore)
    clear = np.flatnonzero((flat.truncation == 0) & (flat.occlusion == 0))
    sensor = source.info.sensor("image_02")
    assert sensor.camera is not None
    overlaps = []
    for row in clear[::10]:
        camera_from_world = se3.invert(
            source.info.trajectory.at(boxes.timestamp_ns[row : row + 1])[0] @ sensor.ego_from_sensor
        )
        uv, _ = sensor.camera.project(se3.apply(camera_from_world, boxes.corners_m()[row]))
        ours, theirs = np.concatenate([uv.min(axis=0), uv.max(axis=0)]), flat.xyxy_px[row]
        both = np.clip(np.minimum(ours[2:], theirs[2:]) - np.maximum(ours[:2], theirs[:2]), 0, None).prod()
        overlaps.append(both / ((ours[2:] - ours[:2]).prod() + (theirs[2:] - theirs[:2]).prod() - both))
    return float(np.median(overlaps))
