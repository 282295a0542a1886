"""Argoverse 2 logs: the contract, what its conventions are, against av2's own readers; and files that are broken."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetlabel.engine.ingest import list_sequences, open_sequence, recognise
from fleetlabel.engine.ingest.arrow_files import read_feather
from fleetlabel.engine.ingest.testing import ingest
from fleetlabel.geometry import se3
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import canonical
from fleetlabel.store import SampleStatus
from ingest.argoverse2_drive import PERIOD_NS, SCENE, START_NS, sweep_points, write_argoverse2
from ingest.contract import SourceContract


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("argoverse2") / "7fab2350"
    write_argoverse2(folder)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "7fab2350"))


def data_file(drive: Path, sensor: str, frame: int) -> Path:
    folder = drive / "sensors" / ("lidar" if sensor == "lidar" else f"cameras/{sensor}")
    return sorted(folder.iterdir())[frame]


class TestContract(SourceContract):
    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        return self.files[sensor][frame]

    @pytest.fixture(autouse=True)
    def remember(self, drive: Path) -> None:
        """Files are named by time, so that those that are missing have to be known from before."""
        sensors = ("lidar", "ring_front_center", "stereo_front_left")
        self.files = {s: [data_file(drive, s, frame) for frame in range(5)] for s in sensors}


class TestConventions:
    def test_logs_are_recognised_alone_and_side_by_side(self, drive: Path) -> None:
        assert recognise(drive).name == recognise(drive.parent).name == "argoverse2"
        assert list_sequences(drive) == list_sequences(drive.parent) == ("7fab2350",)

    def test_the_city_is_that_of_the_map(self, drive: Path) -> None:
        assert "city" not in open_sequence(drive).info.source
        log = next(path for path in (drive, *drive.iterdir()) if (path / "sensors").is_dir())
        (log / "map").mkdir()
        (log / "map" / f"log_map_archive_{log.name}____PIT_city_57819.json").write_text("{}")
        assert open_sequence(drive).info.source["city"] == "PIT"

    def test_a_store_of_a_log_is_no_log(self, drive: Path, tmp_path: Path) -> None:
        """It has folders ``sensors`` and ``calibration`` as well."""
        ingest(drive, tmp_path / "stored")
        with pytest.raises(SourceError, match="is a store that FleetLabel made"):
            recognise(tmp_path / "stored")

    def test_points_are_in_the_ego_frame_at_the_sweeps_first_moment(self, written: Path) -> None:
        source = open_sequence(written)
        part, _ = source.read_sensor("lidar", 0, 5)
        for frame in range(5):
            time_ns = START_NS + PERIOD_NS * frame
            assert part.samples["timestamp_ns"][frame] == time_ns
            rows = slice(*part.offsets[[frame, frame + 1]])
            np.testing.assert_array_equal(part.flat["points"][rows, :3], sweep_points(SCENE, time_ns))
            offsets = part.flat["point_time_offset_ns"][rows]
            assert (offsets[0], offsets[-1]) == (0, 99_000_000)
        sensor = source.info.sensor("lidar")
        np.testing.assert_array_equal(sensor.ego_from_sensor, np.eye(4))
        assert sensor.motion_compensated

    def test_boxes_come_from_the_ego_frame_of_their_sweep(self, written: Path) -> None:
        source = open_sequence(written)
        truth = source.ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        boxes = truth.boxes3d
        assert len(boxes) == 15
        for row in range(len(boxes)):
            which = int(truth.provenance["track_uuids"][boxes.track_id[row]][-1])
            time_s = (int(boxes.timestamp_ns[row]) - START_NS) / 1e9
            center, size, _ = SCENE.objects(time_s)
            np.testing.assert_allclose(
                boxes.center_m[row] + source.info.world_offset_m, center[which], atol=1e-6
            )
            np.testing.assert_allclose(boxes.size_lwh_m[row], size[which], atol=1e-9)
            assert boxes.frame[row] == round(time_s / 0.1)
            assert boxes.n_points[row] == 7 * which
        assert truth.class_names == ("BUS", "REGULAR_VEHICLE")
        assert all(canonical(name) for name in truth.class_names)

    def test_faster_cameras_make_the_frames_and_sweeps_keep_theirs(self, tmp_path: Path) -> None:
        write_argoverse2(tmp_path / "fast", camera_period_ns=PERIOD_NS // 2)
        source = open_sequence(tmp_path / "fast")
        n = source.info.n_frames
        assert n >= 9
        camera, _ = source.read_sensor("ring_front_center", 0, n)
        sweeps, _ = source.read_sensor("lidar", 0, n)
        assert (camera.samples["status"] == SampleStatus.OK).sum() == 9
        hit = np.flatnonzero(sweeps.samples["status"] == SampleStatus.OK)
        assert len(hit) == 5
        truth = source.ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert (
            sorted(set(truth.boxes3d.frame.tolist())) == hit.tolist() == truth.provenance["labelled_frames"]
        )
        np.testing.assert_array_equal(
            np.unique(truth.boxes3d.timestamp_ns), sweeps.samples["timestamp_ns"][hit]
        )

    def test_a_log_without_annotations_has_no_ground_truth(self, drive: Path) -> None:
        (drive / "annotations.feather").unlink()
        assert open_sequence(drive).ground_truth() is None


class TestAgainstAv2:
    def test_points_boxes_and_projections_agree(self, written: Path, ask_loader: Callable[..., Any]) -> None:
        theirs = ask_loader("argoverse2", written)
        source = open_sequence(written)
        info, truth = source.info, source.ground_truth()
        part, _ = source.read_sensor("lidar", 0, 5)
        for frame, time in enumerate(part.samples["timestamp_ns"].tolist()):
            rows = slice(*part.offsets[[frame, frame + 1]])
            sweep = theirs["sweeps"][str(time)]
            world = se3.apply(info.trajectory.at(np.array([time]))[0], part.flat["points"][rows][::50, :3])
            np.testing.assert_allclose(world + info.world_offset_m, sweep["city"], atol=1e-6)
            np.testing.assert_array_equal(part.flat["points"][rows][::50, 3], sweep["intensity"])
            np.testing.assert_array_equal(part.flat["point_time_offset_ns"][rows][::50], sweep["offset_ns"])
        assert truth is not None
        boxes = truth.boxes3d
        assert boxes is not None
        assert len(theirs["boxes"]) == len(boxes) == 15
        corners = boxes.corners_m() + info.world_offset_m
        for name, time, expected in theirs["boxes"]:
            mine = np.flatnonzero((boxes.timestamp_ns == time) & (boxes.class_labels() == name))
            apart = np.linalg.norm(corners[mine][:, :, None] - np.array(expected)[None, None], axis=3)
            assert apart.min(axis=2).max(axis=1).min() < 1e-6
        for camera, (points_ego, expected) in theirs["projected"].items():
            sensor = info.sensor(camera)
            assert sensor.camera is not None
            uv, _ = sensor.camera.project(se3.apply(se3.invert(sensor.ego_from_sensor), np.array(points_ego)))
            np.testing.assert_allclose(uv, expected, atol=1e-6)


class TestBroken:
    def test_a_sweep_cut_off_is_set_aside(self, drive: Path) -> None:
        path = data_file(drive, "lidar", 1)
        path.write_bytes(path.read_bytes()[:-1000])
        _, quarantined = open_sequence(drive).read_sensor("lidar", 0, 5)
        assert [entry.sample for entry in quarantined] == [1]
        assert str(path) in quarantined[0].reason
        assert "damaged or cut off" in quarantined[0].reason

    def test_a_sweep_without_a_column_or_with_text_is_set_aside(self, drive: Path) -> None:
        first, second = data_file(drive, "lidar", 0), data_file(drive, "lidar", 1)
        pl.read_ipc(first).drop("offset_ns").write_ipc(first)
        pl.read_ipc(second).with_columns(x=pl.lit("far")).write_ipc(second)
        _, quarantined = open_sequence(drive).read_sensor("lidar", 0, 5)
        assert "has no columns offset_ns" in quarantined[0].reason
        assert "column x holds String" in quarantined[1].reason

    def test_points_that_are_not_finite_are_counted(self, drive: Path) -> None:
        path = data_file(drive, "lidar", 2)
        table = pl.read_ipc(path)
        far = pl.when(pl.int_range(pl.len()) < 7).then(float("nan")).otherwise(pl.col("x")).cast(pl.Float16)
        table.with_columns(x=far).write_ipc(path)
        part, quarantined = open_sequence(drive).read_sensor("lidar", 0, 5)
        assert quarantined == []
        assert part.samples["dropped_points"].tolist() == [0, 0, 7, 0, 0]

    def test_absurd_counts_are_refused_before_they_are_unpacked(self, drive: Path) -> None:
        path = data_file(drive, "lidar", 0)
        n = (1 << 23) + 1
        zeros = np.zeros(n, dtype=np.int8)
        table = dict.fromkeys(("x", "y", "z", "intensity", "offset_ns"), zeros)
        pl.DataFrame(table).write_ipc(path, compression="zstd")
        assert path.stat().st_size < 1 << 20
        _, quarantined = open_sequence(drive).read_sensor("lidar", 0, 1)
        assert f"says that it has {n} rows" in quarantined[0].reason

    def test_poses_that_are_not_finite(self, drive: Path) -> None:
        path = drive / "city_SE3_egovehicle.feather"
        table = pl.read_ipc(path)
        row = pl.int_range(pl.len())
        table.with_columns(qw=pl.when(row == 3).then(float("nan")).otherwise(pl.col("qw"))).write_ipc(path)
        assert any("1 poses are not finite" in warning for warning in open_sequence(drive).warnings)
        table.with_columns(qw=pl.lit(float("nan"))).write_ipc(path)
        with pytest.raises(
            SourceError, match=r"city_SE3_egovehicle\.feather: none of its .* poses is finite"
        ):
            open_sequence(drive)

    def test_a_pose_file_of_another_log(self, drive: Path) -> None:
        path = drive / "city_SE3_egovehicle.feather"
        pl.read_ipc(path).with_columns(pl.col("timestamp_ns") - 10**12).write_ipc(path)
        with pytest.raises(SourceError, match=r"have no pose within"):
            open_sequence(drive)

    @pytest.mark.parametrize(
        "name",
        [
            "calibration/intrinsics.feather",
            "calibration/egovehicle_SE3_sensor.feather",
            "city_SE3_egovehicle.feather",
        ],
    )
    def test_metadata_that_is_missing_empty_or_damaged(self, drive: Path, name: str) -> None:
        path = drive / name
        content = path.read_bytes()
        for broken, message in ((content[:200], "damaged"), (b"", "is empty"), (b"PK\3\4 no", "damaged")):
            path.write_bytes(broken)
            with pytest.raises(SourceError, match=rf"{path.name}.*{message}"):
                open_sequence(drive)
        path.unlink()
        with pytest.raises(SourceError, match=rf"{path.name} is missing"):
            open_sequence(drive)

    def test_a_camera_without_calibration(self, drive: Path) -> None:
        path = drive / "calibration/intrinsics.feather"
        pl.read_ipc(path).head(1).write_ipc(path)
        with pytest.raises(SourceError, match=r"intrinsics\.feather has no stereo_front_left"):
            open_sequence(drive)

    def test_annotations_that_are_no_boxes_are_set_aside(self, drive: Path) -> None:
        path = drive / "annotations.feather"
        table, row = pl.read_ipc(path), pl.int_range(pl.len())
        table.with_columns(
            length_m=pl.when(row == 1).then(-4.0).otherwise(pl.col("length_m")),
            qw=pl.when(row == 4).then(float("nan")).otherwise(pl.col("qw")),
            timestamp_ns=pl.when(row == 8).then(1).otherwise(pl.col("timestamp_ns")),
        ).write_ipc(path)
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == 12
        assert sorted(entry.sample for entry in truth.quarantined) == [0, 0, 1]
        assert {entry.reason.split(" row ")[1].split(" ")[0] for entry in truth.quarantined} == {
            "1",
            "4",
            "8",
        }

    def test_names_that_are_no_times(self, drive: Path) -> None:
        (drive / f"sensors/lidar/{'9' * 30}.feather").write_bytes(b"")
        with pytest.raises(SourceError, match="no time in nanoseconds"):
            open_sequence(drive)

    def test_a_missing_library_is_named(self, drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "polars", None)
        with pytest.raises(SourceError, match=r"pip install 'fleetlabel\[parquet\]'"):
            open_sequence(drive)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, 10**6), st.binary(min_size=1, max_size=9))
    def test_any_damage_is_a_source_error_or_none(
        self, written: Path, tmp_path: Path, at: int, noise: bytes
    ) -> None:
        content = bytearray((written / "calibration/intrinsics.feather").read_bytes())
        at %= len(content)
        content[at : at + len(noise)] = noise
        path = tmp_path / "damaged.feather"
        path.write_bytes(bytes(content))
        with suppress(SourceError):
            assert len(read_feather(path, ["sensor_name", "fx_px"])) < 1 << 23
