"""KITTI's raw drives: the contract, what its conventions are, against pykitti; and files that are broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetlabel.engine.fleet.places import way_of
from fleetlabel.engine.ingest import list_sequences, open_sequence, recognise
from fleetlabel.geometry import se3
from fleetlabel.model.errors import SourceError, UnsafeFileError
from ingest.contract import SourceContract
from ingest.kitti_raw_drive import CAMERA_LAG_S, DAY, DRIVE, SCENE, START, projection, rig, write_kitti_raw


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitti_raw")
    write_kitti_raw(folder)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "drives"))


class TestContract(SourceContract):
    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        ending = "bin" if sensor == "velodyne_points" else "png"
        return drive / DAY / DRIVE / sensor / "data" / f"{frame:010d}.{ending}"


class TestConventions:
    def test_a_drive_its_day_and_the_folder_of_days(self, drive: Path) -> None:
        for folder in (drive, drive / DAY, drive / DAY / DRIVE):
            assert recognise(folder).name == "kitti_raw"
            assert list_sequences(folder) == (DRIVE,)
            assert open_sequence(folder).info.n_frames == 5

    @pytest.mark.parametrize("turned_rad", [0.0, 2.0])
    def test_where_on_earth_it_was_is_known(self, drive: Path, turned_rad: float) -> None:
        packets = []
        for file in sorted((drive / DAY / DRIVE / "oxts" / "data").iterdir()):
            row = [float(value) for value in file.read_text().split()]
            row[5] += turned_rad
            file.write_text(" ".join(map(repr, row)) + "\n")
            packets.append(row[:2])
        way = way_of(open_sequence(drive).info)
        assert way is not None
        np.testing.assert_allclose(way, packets, atol=2e-8)  # a millimetre or two
        assert np.ptp(np.array(packets), axis=0).max() > 1e-6, "it moved"

    def test_times_are_each_sensors_own_to_the_nanosecond(self, written: Path) -> None:
        source = open_sequence(written)
        start_ns = int(START.timestamp()) * 10**9 + START.microsecond * 1000 + 123
        sweeps, _ = source.read_sensor("velodyne_points", 0, 5)
        assert sweeps.samples["timestamp_ns"].tolist() == [start_ns + 100_000_000 * f for f in range(5)]
        np.testing.assert_array_equal(source.info.frame_timestamp_ns, sweeps.samples["timestamp_ns"])
        for camera, lag_s in CAMERA_LAG_S.items():
            pictures, _ = source.read_sensor(camera, 0, 5)
            lag_ns = pictures.samples["timestamp_ns"] - sweeps.samples["timestamp_ns"]
            assert (lag_ns == round(lag_s * 1e9)).all()

    def test_points_lie_where_they_were_and_are_timed_between_start_and_end(self, written: Path) -> None:
        source = open_sequence(written)
        sensor = source.info.sensor("velodyne_points")
        part, _ = source.read_sensor("velodyne_points", 2, 3)
        pose = source.info.trajectory.at(part.samples["timestamp_ns"])[0] @ sensor.ego_from_sensor
        world = se3.apply(pose, part.flat["points"][:, :3].astype(np.float64))
        np.testing.assert_allclose(world, SCENE.points_world(0.2), atol=1e-3)
        assert not sensor.motion_compensated
        azimuth = np.arctan2(part.flat["points"][:, 1], part.flat["points"][:, 0]).astype(np.float64)
        expected = -51_700_000 + (azimuth + np.pi) / (2 * np.pi) * 103_300_000
        np.testing.assert_allclose(part.flat["point_time_offset_ns"], expected, atol=20)

    def test_boxes_are_bottom_centred_in_the_velodyne_frame(self, written: Path) -> None:
        truth = open_sequence(written).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        boxes = truth.boxes3d
        assert len(boxes) == 5 + 4 + 3
        for row in range(len(boxes)):
            which, frame = int(boxes.track_id[row]), int(boxes.frame[row])
            center, size, _ = SCENE.objects(0.1 * frame)
            # The scanner is not level, so a box upright in its frame has its middle a little off.
            np.testing.assert_allclose(boxes.center_m[row], center[which], atol=0.03)
            np.testing.assert_allclose(boxes.size_lwh_m[row], size[which], atol=1e-9)
            assert boxes.class_labels()[row] == ("Van" if which == 1 else "Car")
            assert (boxes.occlusion[row], boxes.truncation[row]) == (which, which)
            assert frame >= which

    def test_projection_is_p_rect(self, written: Path) -> None:
        info = open_sequence(written).info
        rect, camera_from_velo, velo_from_imu = rig()
        rect_from_imu = se3.transform(rect, np.zeros(3)) @ camera_from_velo @ velo_from_imu
        point = np.array([[15.0, 1.0, 0.5]])
        for camera in CAMERA_LAG_S:
            sensor = info.sensor(camera)
            assert sensor.camera is not None
            ours, _ = sensor.camera.project(se3.apply(se3.invert(sensor.ego_from_sensor), point))
            u, v, w = projection(camera) @ np.append(se3.apply(rect_from_imu, point)[0], 1.0)
            np.testing.assert_allclose(ours[0], [u / w, v / w], atol=1e-6)

    def test_a_drive_without_tracklets_or_sweep_times(self, drive: Path) -> None:
        folder = drive / DAY / DRIVE
        (folder / "tracklet_labels.xml").unlink()
        for which in ("start", "end"):
            (folder / f"velodyne_points/timestamps_{which}.txt").unlink()
        source = open_sequence(drive)
        assert source.ground_truth() is None
        offsets = source.read_sensor("velodyne_points", 0, 1)[0].flat["point_time_offset_ns"]
        assert np.abs(offsets).max() <= 50_000_001


class TestAgainstPykitti:
    def test_poses_calibration_and_points_agree(self, written: Path, ask_loader: Callable[..., Any]) -> None:
        theirs = ask_loader("pykitti", written, DAY, "0001")
        source = open_sequence(written)
        info = source.info
        ours = info.trajectory.at(info.frame_timestamp_ns)
        expected = np.array(theirs["poses"])
        relative = se3.invert(expected[0]) @ expected
        np.testing.assert_allclose(se3.invert(ours[0]) @ ours, relative, atol=1e-6)
        velo = info.sensor("velodyne_points").ego_from_sensor
        np.testing.assert_allclose(se3.invert(velo), theirs["velo_from_imu"], atol=1e-6)
        for camera, cam in (("image_00", "cam0"), ("image_02", "cam2"), ("image_03", "cam3")):
            sensor = info.sensor(camera)
            assert sensor.camera is not None
            np.testing.assert_allclose(sensor.camera.matrix, theirs[cam]["k"], atol=1e-9)
            matrix = se3.invert(sensor.ego_from_sensor) @ velo
            # pykitti takes the baseline for all of P's offset; P has millimetres more, which we keep.
            np.testing.assert_allclose(matrix[:3, :3], np.array(theirs[cam]["from_velo"])[:3, :3], atol=1e-6)
            np.testing.assert_allclose(matrix[:3, 3], np.array(theirs[cam]["from_velo"])[:3, 3], atol=4e-3)
        part, _ = source.read_sensor("velodyne_points", 0, 5)
        for frame, rows in enumerate(theirs["points"]):
            points = part.flat["points"][slice(*part.offsets[[frame, frame + 1]])][::50]
            np.testing.assert_array_equal(points, np.array(rows, dtype=np.float32))


class TestBroken:
    @pytest.mark.parametrize(
        ("file", "old", "new", "message"),
        [
            ("calib_cam_to_cam.txt", "R_rect_00:", "R_none:", r"calib_cam_to_cam\.txt has no R_rect_00"),
            ("calib_cam_to_cam.txt", "S_rect_02: 192 108", "S_rect_02: 1e9 108", "S_rect_02 is 1e"),
            ("calib_cam_to_cam.txt", "P_rect_02: 120.0 0.0", "P_rect_02: 120.0 7.0", "no pinhole"),
            ("calib_velo_to_cam.txt", "R: ", "R: nan ", r"calib_velo_to_cam\.txt R: found 10 columns"),
            ("calib_imu_to_velo.txt", "T: -0.81", "T: inf", r"calib_imu_to_velo\.txt T: column 1 is inf"),
            (f"{DRIVE}/oxts/timestamps.txt", "2011-09-26", "the 26th", "timestamps are numbers"),
            (f"{DRIVE}/velodyne_points/timestamps.txt", "13:02:", "33:02:", "timestamps are numbers"),
        ],
    )
    def test_broken_metadata_names_the_file(
        self, drive: Path, file: str, old: str, new: str, message: str
    ) -> None:
        path = drive / DAY / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(SourceError, match=message):
            open_sequence(drive)

    def test_missing_calibration_and_poses(self, drive: Path) -> None:
        (drive / DAY / "calib_velo_to_cam.txt").unlink()
        with pytest.raises(SourceError, match=r"calib_velo_to_cam\.txt is missing"):
            open_sequence(drive)
        shutil.rmtree(drive / DAY / DRIVE / "oxts/data")
        (drive / DAY / "calib_velo_to_cam.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n")
        with pytest.raises(SourceError, match="oxts has no pose that can be used, of 0 files"):
            open_sequence(drive)

    def test_poses_that_are_not_finite_are_interpolated_and_said(self, drive: Path) -> None:
        expected = open_sequence(drive).info
        path = drive / DAY / DRIVE / "oxts/data/0000000002.txt"
        path.write_text(path.read_text().replace("49.", "nan ", 1))
        (drive / DAY / DRIVE / "oxts/data/0000000003.txt").write_bytes(b"")
        source = open_sequence(drive)
        assert any("2 poses cannot be used" in warning for warning in source.warnings)
        at = expected.frame_timestamp_ns
        np.testing.assert_allclose(source.info.trajectory.at(at), expected.trajectory.at(at), atol=2e-2)

    def test_a_sweep_cut_off_and_a_time_out_of_order_are_set_aside(self, drive: Path) -> None:
        folder = drive / DAY / DRIVE / "velodyne_points"
        path = folder / "data/0000000001.bin"
        path.write_bytes(path.read_bytes()[:-3])
        stamps = (folder / "timestamps.txt").read_text().splitlines()
        (folder / "timestamps.txt").write_text("\n".join([*stamps[:3], stamps[0], stamps[4]]) + "\n")
        _, quarantined = open_sequence(drive).read_sensor("velodyne_points", 0, 5)
        assert [entry.sample for entry in quarantined] == [1, 3]
        assert "not a multiple of 16" in quarantined[0].reason
        assert "same timestamp as frame 0" in quarantined[1].reason

    def test_tracklets_that_are_no_boxes_are_set_aside(self, drive: Path) -> None:
        path = drive / DAY / DRIVE / "tracklet_labels.xml"
        text = path.read_text().replace("<first_frame>2</first_frame>", "<first_frame>4</first_frame>")
        path.write_text(text.replace("<tx>", "<tx>x", 1))
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == 12 - 3
        assert [entry.sample for entry in truth.quarantined] == [0, 4, 4]
        assert all("tracklet_labels.xml line 4" in entry.reason for entry in truth.quarantined)

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            ('<!DOCTYPE a [<!ENTITY x "ha">]><a>&x;</a>', UnsafeFileError),
            ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', UnsafeFileError),
            ("<a>" * 100, SourceError),
            ("<boost_serialization><tracklets>", SourceError),
        ],
    )
    def test_hostile_tracklets(self, drive: Path, content: str, error: type[Exception]) -> None:
        (drive / DAY / DRIVE / "tracklet_labels.xml").write_text(content)
        with pytest.raises(error, match=r"tracklet_labels\.xml"):
            open_sequence(drive).ground_truth()
