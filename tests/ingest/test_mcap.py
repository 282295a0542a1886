"""MCAP logs of ROS 2 and Foxglove: the contract, frames, clocks and trees of transforms; and files that are broken."""

from __future__ import annotations

import hashlib
import re
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fleetlabel.engine.fleet.sources import find_drives, is_one_drive
from fleetlabel.engine.ingest import list_sequences, open_sequence, recognise, write_ground_truth
from fleetlabel.engine.ingest.mcap_messages import camera_of, points_of
from fleetlabel.engine.ingest.source import SequenceSource
from fleetlabel.engine.ingest.transform_tree import TransformTree
from fleetlabel.geometry import se3
from fleetlabel.model.cameras import FisheyeCamera, PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.store import SampleStatus, SequenceStore
from ingest.contract import SourceContract
from ingest.mcap_drive import (
    BASE_FROM_BODY,
    BASE_FROM_LIDAR,
    BODY_FROM_OPTICAL,
    CAMERA_LAG_NS,
    CAMERA_TOPIC,
    LIDAR_TOPIC,
    PERIOD_NS,
    SCENE,
    START_NS,
    Log,
    write_foxglove,
    write_ros2,
)

Write = Callable[..., None]
WRITERS = pytest.mark.parametrize("write", [write_ros2, write_foxglove])


class McapContract(SourceContract):
    """The contract for what is in one file: what is missing or broken is a message."""

    write: Write

    @pytest.fixture
    def drive(self, tmp_path: Path) -> Path:
        type(self).write(tmp_path / "drive" / "monday.mcap")
        return tmp_path / "drive"

    def test_ground_truth_becomes_a_label_version_once(self, source: SequenceSource, tmp_path: Path) -> None:
        store = SequenceStore.create(tmp_path / "store", source.info)
        assert write_ground_truth(store, source) is None
        assert store.label_versions() == ()

    def test_missing_file_of_a_sensor_is_a_gap(self, drive: Path, source: SequenceSource) -> None:
        type(self).write(drive / "monday.mcap", Log(skip={CAMERA_TOPIC: {1}, LIDAR_TOPIC: {1}}))
        gapped = open_sequence(drive)
        assert gapped.info.n_frames == source.info.n_frames
        for sensor in gapped.info.sensors:
            part, quarantined = gapped.read_sensor(sensor.name, 0, 3)
            assert quarantined == []
            assert part.samples["status"].tolist() == [0, SampleStatus.MISSING, 0]

    def test_empty_file_sets_one_frame_aside_and_names_it(self, drive: Path, source: SequenceSource) -> None:
        type(self).write(drive / "monday.mcap", Log(empty={CAMERA_TOPIC: {2}, LIDAR_TOPIC: {2}}))
        broken = open_sequence(drive)
        for sensor in broken.info.sensors:
            part, quarantined = broken.read_sensor(sensor.name, 0, 4)
            if sensor.name == "lidar_top" and type(self).write is write_foxglove:
                assert part.counts.tolist()[2] == 0  # a cloud without points is one
                continue
            assert [entry.sample for entry in quarantined] == [2]
            assert re.search(r"monday\.mcap, /.*(is empty|but has 0 bytes)", quarantined[0].reason)
            assert part.samples["status"].tolist() == [0, 0, SampleStatus.QUARANTINED, 0]


class TestRos2Contract(McapContract):
    write = staticmethod(write_ros2)


class TestFoxgloveContract(McapContract):
    write = staticmethod(write_foxglove)


@WRITERS
class TestConventions:
    def test_everything_is_where_and_when_it_was(self, write: Write, tmp_path: Path) -> None:
        write(tmp_path / "monday.mcap")
        source = open_sequence(tmp_path)
        assert recognise(tmp_path).name == "mcap"
        assert source.warnings == ()
        assert [sensor.name for sensor in source.info.sensors] == ["camera_front", "lidar_top"]
        lidar, camera = source.info.sensor("lidar_top"), source.info.sensor("camera_front")
        np.testing.assert_allclose(lidar.ego_from_sensor, BASE_FROM_LIDAR, atol=1e-9)
        np.testing.assert_allclose(camera.ego_from_sensor, BASE_FROM_BODY @ BODY_FROM_OPTICAL, atol=1e-9)
        part, _ = source.read_sensor("lidar_top", 0, 5)
        np.testing.assert_array_equal(part.samples["timestamp_ns"], START_NS + PERIOD_NS * np.arange(5))
        for frame in range(5):
            rows = slice(*part.offsets[[frame, frame + 1]])
            pose = source.info.trajectory.at(part.samples["timestamp_ns"][frame : frame + 1])[0]
            world = se3.apply(pose @ lidar.ego_from_sensor, part.flat["points"][rows, :3].astype(np.float64))
            np.testing.assert_allclose(world, SCENE.points_world(frame * 0.1), atol=2e-4)
            offsets = part.flat["point_time_offset_ns"][rows]
            assert (offsets[0], offsets[-1]) == (0, 99_000_000)
            assert part.flat["points"][rows, 3].max() == 99
        assert not lidar.motion_compensated
        pictures, _ = source.read_sensor("camera_front", 0, 5)
        expected = START_NS + CAMERA_LAG_NS + PERIOD_NS * np.arange(5)
        np.testing.assert_array_equal(pictures.samples["timestamp_ns"], expected)
        assert pictures.flat["jpeg"][:2].tobytes() == b"\xff\xd8"

    def test_frame_i_of_a_video_is_message_i(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import simplejpeg

        monkeypatch.setenv("FLEETLABEL_SCRATCH", str(tmp_path / "scratch"))
        write(tmp_path / "monday.mcap", Log(video=True))
        source = open_sequence(tmp_path)
        for start, stop in ((0, 5), (3, 5), (2, 3)):
            part, quarantined = source.read_sensor("camera_back", start, stop)
            assert quarantined == []
            for row, frame in enumerate(range(start, stop)):
                data = part.flat["jpeg"][slice(*part.offsets[[row, row + 1]])].tobytes()
                assert abs(float(simplejpeg.decode_jpeg(data).mean()) - (20 + 40 * frame)) < 3

    def test_odometry_moves_the_vehicle_where_no_transform_does(self, write: Write, tmp_path: Path) -> None:
        write(tmp_path / "monday.mcap", Log(odometry=True))
        info = open_sequence(tmp_path).info
        poses = info.trajectory.at(info.frame_timestamp_ns)
        expected = SCENE.world_from_ego((info.frame_timestamp_ns - START_NS) / 1e9)
        np.testing.assert_allclose(poses, expected, atol=1e-4)

    def test_clouds_without_times_are_taken_as_compensated(self, write: Write, tmp_path: Path) -> None:
        write(tmp_path / "monday.mcap", Log(point_times=False))
        source = open_sequence(tmp_path)
        assert source.info.sensor("lidar_top").motion_compensated
        assert not source.read_sensor("lidar_top", 0, 1)[0].flat["point_time_offset_ns"].any()

    def test_a_body_frame_is_turned_and_said(self, write: Write, tmp_path: Path) -> None:
        write(tmp_path / "monday.mcap", Log(camera_frame="camera_front"))
        source = open_sequence(tmp_path)
        place = source.info.sensor("camera_front").ego_from_sensor
        np.testing.assert_allclose(place, BASE_FROM_BODY @ BODY_FROM_OPTICAL, atol=1e-9)
        assert any("camera's body" in warning for warning in source.warnings)

    def test_stamps_of_another_clock_or_zero_go_by_the_log(self, write: Write, tmp_path: Path) -> None:
        write(tmp_path / "a/monday.mcap", Log(stamp_shift_ns={CAMERA_TOPIC: -(10**18)}))
        write(tmp_path / "b/monday.mcap", Log(zero_stamps=[CAMERA_TOPIC]))
        for folder in ("a", "b"):
            source = open_sequence(tmp_path / folder)
            assert any("of another clock" in warning for warning in source.warnings)
            part, _ = source.read_sensor("camera_front", 0, 5)
            expected = START_NS + CAMERA_LAG_NS + PERIOD_NS * np.arange(5)
            np.testing.assert_array_equal(part.samples["timestamp_ns"], expected)

    def test_a_sensor_of_an_unknown_frame_is_left_out_and_said(self, write: Write, tmp_path: Path) -> None:
        write(tmp_path / "monday.mcap", Log(camera_frame="nowhere"))
        source = open_sequence(tmp_path)
        assert [sensor.name for sensor in source.info.sensors] == ["lidar_top"]
        assert any(CAMERA_TOPIC in warning and "'nowhere'" in warning for warning in source.warnings)

    def test_a_file_that_breaks_off_is_read_up_to_there(self, write: Write, tmp_path: Path) -> None:
        path = tmp_path / "monday.mcap"
        write(path, Log(scene=SCENE))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * 0.6)])
        source = open_sequence(tmp_path)
        assert any("breaks off after" in warning for warning in source.warnings)
        part, quarantined = source.read_sensor("lidar_top", 0, source.info.n_frames)
        assert quarantined == []
        assert (part.samples["status"] == SampleStatus.OK).any()

    @pytest.mark.parametrize("seed", range(12))
    def test_any_damage_is_said_or_does_no_harm(self, write: Write, tmp_path: Path, seed: int) -> None:
        path = tmp_path / "monday.mcap"
        write(path)
        content, random = bytearray(path.read_bytes()), np.random.default_rng(seed)
        for at in random.integers(8, len(content), 6).tolist():
            content[at : at + 8] = random.choice([b"\xff" * 8, b"\0" * 8, random.bytes(8)])
        path.write_bytes(bytes(content))
        with suppress(SourceError):
            source = open_sequence(tmp_path)
            _reads_or_says(source)


def _reads_or_says(source: SequenceSource) -> None:
    for sensor in source.info.sensors:
        for entry in source.read_sensor(sensor.name, 0, min(source.info.n_frames, 50))[1]:
            assert "monday.mcap" in entry.reason


class TestAgainstRosbags:
    def test_times_content_and_poses_agree(self, tmp_path: Path, ask_loader: Callable[..., Any]) -> None:
        write_ros2(tmp_path / "monday.mcap")
        theirs = ask_loader("rosbags", tmp_path / "monday.mcap")
        source = open_sequence(tmp_path)
        sweeps, _ = source.read_sensor("lidar_top", 0, 5)
        pictures, _ = source.read_sensor("camera_front", 0, 5)
        for part, topic in ((sweeps, LIDAR_TOPIC), (pictures, CAMERA_TOPIC)):
            assert part.samples["timestamp_ns"].tolist() == [said[0] for said in theirs["sensors"][topic]]
        for row in range(5):
            data = pictures.flat["jpeg"][slice(*pictures.offsets[[row, row + 1]])].tobytes()
            assert hashlib.sha256(data).hexdigest() == theirs["sensors"][CAMERA_TOPIC][row][1]
            points = sweeps.flat["points"][slice(*sweeps.offsets[[row, row + 1]])][::50, :3]
            np.testing.assert_array_equal(
                points, np.array(theirs["sensors"][LIDAR_TOPIC][row][2], np.float32)
            )
        times = np.array([int(time) for time in theirs["poses"]], dtype=np.int64)
        np.testing.assert_allclose(
            source.info.trajectory.at(times), list(theirs["poses"].values()), atol=1e-9
        )


class TestRos2:
    def test_bags_in_several_files_are_one_drive_others_one_each(self, tmp_path: Path) -> None:
        log = Log(skip={CAMERA_TOPIC: {3, 4}, LIDAR_TOPIC: {3, 4}})
        write_ros2(tmp_path / "bag/bag_0.mcap", log)
        write_ros2(tmp_path / "bag/bag_1.mcap", Log(skip={CAMERA_TOPIC: {0, 1, 2}, LIDAR_TOPIC: {0, 1, 2}}))
        assert list_sequences(tmp_path / "bag") == ("bag_0", "bag_1")
        (tmp_path / "bag/metadata.yaml").write_text("rosbag2_bagfile_information:\n  version: 5\n")
        assert list_sequences(tmp_path / "bag") == ("bag",)
        source = open_sequence(tmp_path / "bag")
        assert source.info.n_frames == 5
        assert all(source.read_sensor(sensor.name, 0, 5)[1] == [] for sensor in source.info.sensors)

    def test_one_file_is_a_drive_log_by_itself(self, tmp_path: Path) -> None:
        write_ros2(tmp_path / "logs/monday.mcap")
        write_ros2(tmp_path / "logs/tuesday.mcap")
        (tmp_path / "logs/notes.txt").write_text("nothing")
        file = tmp_path / "logs/monday.mcap"
        assert list_sequences(file) == ("monday",)
        alone, among = open_sequence(file), open_sequence(tmp_path / "logs", "monday")
        assert alone.info.source == among.info.source
        np.testing.assert_array_equal(alone.info.frame_timestamp_ns, among.info.frame_timestamp_ns)
        assert [(one.source, one.sequence) for one in find_drives([str(tmp_path / "logs/*day.mcap")])] == [
            (tmp_path / "logs" / f"{day}.mcap", day) for day in ("monday", "tuesday")
        ]
        assert is_one_drive([file], None, tmp_path / "monday.zarr")
        with pytest.raises(SourceError, match="is a file; give the folder"):
            recognise(tmp_path / "logs/notes.txt")

    def test_distortion_is_taken_over(self, tmp_path: Path) -> None:
        write_ros2(tmp_path / "a/m.mcap", Log(distortion=("plumb_bob", [0.1, -0.02, 0.001, 0.002, 0.003])))
        write_ros2(tmp_path / "b/m.mcap", Log(distortion=("equidistant", [0.1, -0.02, 0.001, 0.002])))
        write_ros2(tmp_path / "c/m.mcap", Log(distortion=("rational_polynomial", [0.1] * 8)))
        pinhole = open_sequence(tmp_path / "a").info.sensor("camera_front").camera
        assert isinstance(pinhole, PinholeCamera)
        assert (pinhole.k1, pinhole.k2, pinhole.p1, pinhole.p2, pinhole.k3) == (
            0.1,
            -0.02,
            0.001,
            0.002,
            0.003,
        )
        fisheye = open_sequence(tmp_path / "b").info.sensor("camera_front").camera
        assert isinstance(fisheye, FisheyeCamera)
        assert (fisheye.k1, fisheye.k4) == (0.1, 0.002)
        assert any("rational_polynomial" in warning for warning in open_sequence(tmp_path / "c").warnings)

    def test_what_is_no_mcap_and_what_has_no_vehicle(self, tmp_path: Path) -> None:
        (tmp_path / "monday.mcap").write_bytes(b"SQLite format 3\0" * 10)
        with pytest.raises(SourceError, match=r"monday\.mcap is no MCAP file"):
            open_sequence(tmp_path)
        (tmp_path / "monday.mcap").write_bytes(b"")
        with pytest.raises(SourceError, match=r"monday\.mcap is no MCAP file"):
            open_sequence(tmp_path)
        write_ros2(tmp_path / "monday.mcap", Log(vehicle="tractor"))
        with pytest.raises(SourceError, match=r"none of the frames .*tractor.* is the vehicle's"):
            open_sequence(tmp_path)

    @pytest.mark.parametrize("compression", [b"lz4", b"zstd", b""])
    def test_chunks_that_unpack_to_more_than_they_say(self, tmp_path: Path, compression: bytes) -> None:
        import lz4.frame
        import zstandard

        bomb = bytes(1 << 24)
        packed = {b"lz4": lz4.frame.compress(bomb), b"zstd": zstandard.compress(bomb), b"": bytes(64)}[
            compression
        ]
        for declared in (1000, 1 << 40):
            body = struct.pack("<QQQI", 1, 2, declared, 0)
            body += (
                struct.pack("<I", len(compression)) + compression + struct.pack("<Q", len(packed)) + packed
            )
            header = struct.pack("<I", 0) + struct.pack("<I", 0)
            content = b"\x89MCAP0\r\n" + b"\x01" + struct.pack("<Q", len(header)) + header
            content += b"\x06" + struct.pack("<Q", len(body)) + body
            (tmp_path / "monday.mcap").write_bytes(content)
            with pytest.raises(SourceError, match="monday.mcap"):
                open_sequence(tmp_path)

    def test_missing_libraries_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_ros2(tmp_path / "monday.mcap")
        monkeypatch.setitem(sys.modules, "mcap_ros2.decoder", None)
        with pytest.raises(SourceError, match=r"pip install 'fleetlabel\[mcap\]'"):
            open_sequence(tmp_path)


def cloud(**changes: Any) -> SimpleNamespace:
    fields = [SimpleNamespace(name=name, offset=4 * row, datatype=7) for row, name in enumerate("xyz")]
    data = np.arange(12, dtype="<f4").tobytes()
    said = {"point_step": 12, "width": 4, "height": 1, "row_step": 48, "is_bigendian": False}
    return SimpleNamespace(**{**said, "fields": fields, "data": data, **changes})


class TestClouds:
    def test_rows_with_padding_and_other_byte_orders(self) -> None:
        rows = np.arange(12, dtype=">f4").reshape(2, 6)
        padded = np.hstack([rows, np.zeros((2, 2), dtype=">f4")]).astype(">f4")
        said = cloud(width=2, height=2, row_step=32, is_bigendian=True, data=padded.tobytes())
        points, timed = points_of(said, 0, "here")
        np.testing.assert_array_equal(points.points[:, :3].reshape(-1), np.arange(12))
        assert not timed

    @pytest.mark.parametrize(
        ("kind", "values", "expected"),
        [
            (6, [0, 5, 10, 99_000_000], [0, 5, 10, 99_000_000]),
            (7, [0.0, 0.01, 0.05, 0.099], [0, 10_000_000, 50_000_000, 99_000_000]),
            (
                8,
                [1_700_000_000.0, 1_700_000_000.01, 1_700_000_000.05, 1_700_000_000.099],
                [0, 1e7, 5e7, 9.9e7],
            ),
            (8, [1.7e18, 1.7e18 + 1e7, 1.7e18 + 5e7, 1.7e18 + 9.9e7], [0, 1e7, 5e7, 9.9e7]),
        ],
    )
    def test_times_of_points_in_every_unit(
        self, kind: int, values: list[float], expected: list[float]
    ) -> None:
        dtype = {6: "<u4", 7: "<f4", 8: "<f8"}[kind]
        rows = np.zeros(4, dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("t", dtype)])
        rows["t"] = values
        fields = [*cloud().fields, SimpleNamespace(name="timestamp", offset=12, datatype=kind)]
        said = cloud(
            fields=fields,
            data=rows.tobytes(),
            point_step=rows.dtype.itemsize,
            row_step=4 * rows.dtype.itemsize,
        )
        points, timed = points_of(said, 1_700_000_000_000_000_000, "here")
        assert timed
        np.testing.assert_allclose(points.point_time_offset_ns, expected, atol=300)

    @pytest.mark.parametrize(
        "changes",
        [
            {"width": 1 << 31},
            {"point_step": 0},
            {"point_step": 1 << 20},
            {"width": 5},
            {"fields": []},
            {
                "fields": [
                    SimpleNamespace(name=n, offset=o, datatype=7) for n, o in (("x", 0), ("y", 4), ("z", 10))
                ]
            },
            {"fields": [SimpleNamespace(name=n, offset=0, datatype=99) for n in "xyz"]},
            {"height": 2, "width": 2, "row_step": 1 << 30},
        ],
    )
    def test_absurd_sizes_are_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(SourceError, match="here"):
            points_of(cloud(**changes), 0, "here")

    def test_an_uncalibrated_camera_is_said(self) -> None:
        info = SimpleNamespace(
            k=[0.0] * 9, d=[], p=[0.0] * 12, width=0, height=0, distortion_model="plumb_bob"
        )
        with pytest.raises(SourceError, match="was not calibrated"):
            camera_of(info, False, "/camera_info")

    def test_rectified_pictures_have_p_and_no_distortion(self) -> None:
        p = [100.0, 0, 50, 0, 0, 110, 40, 0, 0, 0, 1, 0]
        info = SimpleNamespace(
            k=[90.0, 0, 51, 0, 91, 41, 0, 0, 1],
            d=[0.1] * 5,
            p=p,
            width=100,
            height=80,
            distortion_model="plumb_bob",
        )
        assert camera_of(info, True, "/i") == PinholeCamera(100, 80, 100.0, 110.0, 50.0, 40.0)


class TestTransformTree:
    def test_moving_edges_are_interpolated_each_at_its_own_samples(self) -> None:
        tree = TransformTree()
        for time in (0, 10):
            tree.add("map", "odom", time, [float(time), 0, 0, 1, 0, 0, 0])
        for time in (0, 4, 10):
            tree.add("odom", "base_link", time, [0, 2.0 * time, 0, 1, 0, 0, 0])
        tree.add("base_link", "lidar", 0, [0, 0, 1, 1, 0, 0, 0])
        at = tree.root_from("lidar", np.array([5], dtype=np.int64))[0]
        np.testing.assert_allclose(at[:3, 3], [5, 10, 1])
        assert len(tree.moving_above("base_link")) == 2

    def test_repeated_edges_stand_still_and_the_others_do_not(self) -> None:
        tree = TransformTree()
        for time in range(3):
            tree.add("base_link", "camera", time, [1, 0, 0, 1, 0, 0, 0])
            tree.add("base_link", "arm", time, [float(time), 0, 0, 1, 0, 0, 0])
        found = tree.still_between("base_link", "camera")
        assert found is not None
        assert found[0, 3] == 1
        assert tree.still_between("camera", "arm") is None
        assert tree.still_between("base_link", "elsewhere") is None

    def test_circles_second_parents_and_poses_that_are_none(self) -> None:
        tree = TransformTree()
        tree.add("a", "b", 0, [0, 0, 0, 1, 0, 0, 0])
        tree.add("c", "b", 0, [0, 0, 0, 1, 0, 0, 0])
        tree.add("a", "d", 0, [float("nan"), 0, 0, 1, 0, 0, 0])
        tree.add("a", "e", 0, [0, 0, 0, 0, 0, 0, 0])
        assert len(tree.problems) == 3
        tree.add("b", "a", 0, [0, 0, 0, 1, 0, 0, 0])
        with pytest.raises(SourceError, match="in a circle"):
            tree.up("b")
