"""Waymo's perception data: the contract, its frames and range images; and tables that are broken.

No reader of Waymo's own is compared with: it is made for a TensorFlow that no longer installs. The formulas of its
range images are written out point by point instead.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fleetlabel.engine.ingest import list_sequences, open_sequence, recognise
from fleetlabel.engine.ingest.source import SequenceSource
from fleetlabel.geometry import se3
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import canonical
from fleetlabel.store import SampleStatus
from ingest.contract import SourceContract
from ingest.waymo_drive import (
    DISTORTION,
    EGO_FROM_CAMERA,
    EGO_FROM_REAR,
    EGO_FROM_TOP,
    FORWARD_FROM_OPTICAL,
    HEIGHT,
    INCLINATIONS,
    PERIOD_US,
    READOUT_S,
    REAR_RANGE,
    SCENE,
    SEGMENT,
    START_US,
    TRIGGER_S,
    WIDTH,
    column_time_us,
    edit,
    ranges,
    world_from_ego,
    write_waymo,
)

TIME = "key.frame_timestamp_micros"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("waymo") / "training"
    write_waymo(folder)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "training"))


def of_frame(frame: int) -> pl.Expr:
    return pl.col(TIME) == START_US + PERIOD_US * frame


class TestContract(SourceContract):
    """What is missing or broken is a row, since a component is one file."""

    def test_missing_file_of_a_sensor_is_a_gap(self, drive: Path, source: SequenceSource) -> None:
        for component in ("camera_image", "lidar"):
            edit(drive, component, lambda table: table.filter(~of_frame(1)))
        gapped = open_sequence(drive)
        assert gapped.info.n_frames == source.info.n_frames
        for sensor in gapped.info.sensors:
            part, quarantined = gapped.read_sensor(sensor.name, 0, 3)
            assert quarantined == []
            assert part.samples["status"].tolist() == [0, SampleStatus.MISSING, 0]
            assert part.counts[1] == 0

    def test_empty_file_sets_one_frame_aside_and_names_it(self, drive: Path, source: SequenceSource) -> None:
        image, values = "[CameraImageComponent].image", "[LiDARComponent].range_image_return1.values"
        edit(drive, "camera_image", lambda t: t.with_columns(_where(2, image, pl.lit(b""))))
        edit(drive, "lidar", lambda t: t.with_columns(_where(2, values, pl.col(values).list.head(0))))
        broken = open_sequence(drive)
        for sensor in broken.info.sensors:
            part, quarantined = broken.read_sensor(sensor.name, 0, 4)
            assert [entry.sample for entry in quarantined] == [2]
            assert f"{SEGMENT}.parquet" in quarantined[0].reason
            assert "empty" in quarantined[0].reason or "has 0 values" in quarantined[0].reason
            assert part.samples["status"].tolist() == [0, 0, SampleStatus.QUARANTINED, 0]


def _where(frame: int, column: str, value: pl.Expr) -> pl.Expr:
    return pl.when(of_frame(frame)).then(value).otherwise(pl.col(column)).alias(column)


def expected_points(frame: int, lidar: int, extrinsic: np.ndarray, inclinations: list[float]) -> np.ndarray:
    """Points in the world, pixel by pixel, as Waymo describes range images."""
    rows = []
    for which in (1, 2):
        image = ranges(frame, lidar, which).astype(np.float64)
        for r in range(HEIGHT):
            for c in range(WIDTH):
                distance = image[r, c, 0]
                if distance <= 0:
                    continue
                ratio = (WIDTH - c - 0.5) / WIDTH
                azimuth = (ratio * 2 - 1) * np.pi - np.arctan2(extrinsic[1, 0], extrinsic[0, 0])
                slope = inclinations[::-1][r]
                point = distance * np.array(
                    [np.cos(azimuth) * np.cos(slope), np.sin(azimuth) * np.cos(slope), np.sin(slope)]
                )
                time_us = column_time_us(frame, c) if lidar == 1 else START_US + PERIOD_US * frame
                rows.append((world_from_ego(SCENE, time_us) @ extrinsic @ np.append(point, 1))[:3])
    return np.array(rows)


class TestConventions:
    def test_a_split_has_its_segments(self, written: Path) -> None:
        assert recognise(written).name == "waymo"
        assert list_sequences(written) == (SEGMENT,)

    @pytest.mark.parametrize(("name", "lidar"), [("LIDAR_TOP", 1), ("LIDAR_REAR", 5)])
    def test_range_images_become_points_by_each_pixels_pose(
        self, written: Path, name: str, lidar: int
    ) -> None:
        source = open_sequence(written)
        part, _ = source.read_sensor(name, 0, 5)
        sensor = source.info.sensor(name)
        extrinsic = EGO_FROM_TOP if lidar == 1 else EGO_FROM_REAR
        np.testing.assert_allclose(sensor.ego_from_sensor, extrinsic, atol=1e-9)
        low, high = REAR_RANGE
        even = [low + (r + 0.5) / HEIGHT * (high - low) for r in range(HEIGHT)]
        for frame in range(5):
            rows = slice(*part.offsets[[frame, frame + 1]])
            pose = source.info.trajectory.at(source.info.frame_timestamp_ns[frame : frame + 1])[0]
            world = se3.apply(pose @ sensor.ego_from_sensor, part.flat["points"][rows, :3].astype(np.float64))
            expected = expected_points(frame, lidar, extrinsic, INCLINATIONS if lidar == 1 else even)
            np.testing.assert_allclose(world + source.info.world_offset_m, expected, atol=1e-4)
        assert sensor.motion_compensated

    def test_cameras_are_turned_to_look_along_z(self, written: Path) -> None:
        source = open_sequence(written)
        sensor = source.info.sensor("CAMERA_FRONT")
        np.testing.assert_allclose(sensor.ego_from_sensor, EGO_FROM_CAMERA @ FORWARD_FROM_OPTICAL, atol=1e-9)
        assert isinstance(sensor.camera, PinholeCamera)
        model = sensor.camera
        assert (model.k1, model.k2, model.p1, model.p2, model.k3) == DISTORTION
        # A point straight ahead of Waymo's camera is at the principal point.
        ahead = se3.apply(EGO_FROM_CAMERA, np.array([[10.0, 0.0, 0.0]]))
        uv, _ = model.project(se3.apply(se3.invert(sensor.ego_from_sensor), ahead))
        np.testing.assert_allclose(uv[0], [model.cx_px, model.cy_px], atol=1e-9)

    def test_pictures_are_of_the_middle_of_their_readout_with_the_pose_of_then(self, written: Path) -> None:
        source = open_sequence(written)
        part, _ = source.read_sensor("CAMERA_FRONT", 0, 5)
        middle_s = (TRIGGER_S + READOUT_S) / 2
        expected_us = START_US + PERIOD_US * np.arange(5) + middle_s * 1e6
        np.testing.assert_allclose(part.samples["timestamp_ns"] / 1e3, expected_us, atol=1)
        poses = source.info.trajectory.at(part.samples["timestamp_ns"])
        poses[:, :3, 3] += source.info.world_offset_m
        expected = np.stack([world_from_ego(SCENE, time_us) for time_us in expected_us])
        np.testing.assert_allclose(poses, expected, atol=1e-4)

    def test_cuboids_and_picture_boxes(self, written: Path) -> None:
        source = open_sequence(written)
        truth = source.ground_truth()
        assert truth is not None
        boxes, flat = truth.boxes3d, truth.boxes2d["CAMERA_FRONT"]
        assert boxes is not None
        assert len(boxes) == len(flat) == 15
        for row in range(len(boxes)):
            which, frame = int(boxes.track_id[row]), int(boxes.frame[row])
            center, size, _ = SCENE.objects(0.1 * frame)
            np.testing.assert_allclose(
                boxes.center_m[row] + source.info.world_offset_m, center[which], atol=1e-5
            )
            np.testing.assert_allclose(boxes.size_lwh_m[row], size[which], atol=1e-9)
            assert boxes.n_points[row] == 11 * which
            np.testing.assert_allclose(
                flat.xyxy_px[row], [24 + 10 * which, 36.5 + frame, 36 + 10 * which, 43.5 + frame]
            )
        assert boxes.class_labels()[:3].tolist() == ["TYPE_VEHICLE", "TYPE_PEDESTRIAN", "TYPE_SIGN"]
        assert not set(boxes.track_id.tolist()) & set(flat.track_id.tolist())
        assert truth.provenance["object_ids"] == [
            *(f"object-{which}" for which in range(3)),
            *(f"picture-{which}" for which in range(3)),
        ]
        assert all(canonical(name) for name in truth.class_names if name != "TYPE_UNKNOWN")

    def test_components_that_are_not_there_are_sensors_less(self, drive: Path) -> None:
        shutil.rmtree(drive / "camera_image")
        shutil.rmtree(drive / "camera_box")
        source = open_sequence(drive)
        assert [sensor.name for sensor in source.info.sensors] == ["LIDAR_TOP", "LIDAR_REAR"]
        truth = source.ground_truth()
        assert truth is not None
        assert truth.boxes2d == {}
        shutil.rmtree(drive / "lidar")
        with pytest.raises(SourceError, match="neither camera_image nor lidar"):
            open_sequence(drive)


class TestBroken:
    @pytest.mark.parametrize("component", ["vehicle_pose", "camera_calibration", "lidar_calibration"])
    def test_metadata_that_is_damaged_or_missing(self, drive: Path, component: str) -> None:
        path = drive / component / f"{SEGMENT}.parquet"
        whole = path.read_bytes()
        for content, message in ((whole[:-40], "damaged"), (b"", "is empty"), (b"PAR1" * 40, "damaged")):
            path.write_bytes(content)
            with pytest.raises(SourceError, match=f"{component}/.*{message}"):
                open_sequence(drive)

    def test_data_damaged_within_is_set_aside(self, drive: Path) -> None:
        path = drive / "lidar" / f"{SEGMENT}.parquet"
        content = bytearray(path.read_bytes())
        content[2000:4000] = bytes(2000)
        path.write_bytes(bytes(content))
        _, quarantined = open_sequence(drive).read_sensor("LIDAR_TOP", 0, 5)
        assert quarantined
        assert all(str(path) in entry.reason for entry in quarantined)

    @pytest.mark.parametrize(
        ("component", "column", "value", "message"),
        [
            (
                "vehicle_pose",
                "[VehiclePoseComponent].world_from_vehicle.transform",
                [0.0] * 16,
                "none of its 5 poses",
            ),
            (
                "camera_calibration",
                "[CameraCalibrationComponent].width",
                -5,
                "no calibration that can be used",
            ),
            (
                "camera_calibration",
                "[CameraCalibrationComponent].intrinsic.f_u",
                float("nan"),
                "no calibration",
            ),
            (
                "lidar_calibration",
                "[LiDARCalibrationComponent].extrinsic.transform",
                [float("nan")] * 16,
                "no transform",
            ),
            ("vehicle_pose", TIME, "noon", "holds String"),
        ],
    )
    def test_broken_metadata_names_the_file(
        self, drive: Path, component: str, column: str, value: object, message: str
    ) -> None:
        edit(drive, component, lambda table: table.with_columns(pl.lit(value).alias(column)))
        with pytest.raises(SourceError, match=f"{component}.*{message}"):
            open_sequence(drive)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.with_columns(_shape([HEIGHT, WIDTH, 3])), "expected H x W x 4"),
            (lambda t: t.with_columns(_shape([1 << 15, 1 << 15, 4])), "expected H x W x 4"),
            (lambda t: t.with_columns(_shape([HEIGHT, WIDTH + 1, 4])), "values"),
            (lambda t: t.with_columns(_shape([WIDTH, HEIGHT, 4])), "inclinations|poses of|two range images"),
        ],
    )
    def test_range_images_of_absurd_shapes_are_set_aside(
        self, drive: Path, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
    ) -> None:
        edit(drive, "lidar", change)
        _, quarantined = open_sequence(drive).read_sensor("LIDAR_TOP", 0, 2)
        assert len(quarantined) == 2
        assert re.search(message, quarantined[0].reason)

    def test_boxes_that_are_none_are_set_aside(self, drive: Path) -> None:
        row = pl.int_range(pl.len())
        length, kind = "[LiDARBoxComponent].box.size.x", "[LiDARBoxComponent].type"
        edit(
            drive,
            "lidar_box",
            lambda t: t.with_columns(
                pl.when(row == 1).then(0.0).otherwise(pl.col(length)).alias(length),
                pl.when(row == 4).then(99).otherwise(pl.col(kind)).alias(kind),
                pl.when(row == 8).then(5).otherwise(pl.col(TIME)).alias(TIME),
            ),
        )
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == 12
        assert sorted(entry.sample for entry in truth.quarantined) == [0, 0, 1]

    def test_a_pose_that_is_none_is_interpolated(self, drive: Path) -> None:
        column = "[VehiclePoseComponent].world_from_vehicle.transform"
        expected = open_sequence(drive).info
        path = drive / "vehicle_pose" / f"{SEGMENT}.parquet"
        table = pl.read_parquet(path)
        rows = table[column].to_list()
        rows[2] = [float("nan")] * 16
        table.with_columns(pl.Series(column, rows)).write_parquet(path)
        info = open_sequence(drive).info
        at = expected.frame_timestamp_ns
        np.testing.assert_allclose(info.trajectory.at(at), expected.trajectory.at(at), atol=5e-3)


def _shape(shape: list[int]) -> pl.Expr:
    return pl.lit(shape).alias("[LiDARComponent].range_image_return1.shape")
