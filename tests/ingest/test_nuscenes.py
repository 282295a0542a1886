"""nuScenes drives: the contract, what its conventions are, against nuscenes-devkit; and tables that are broken."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetlabel.engine.ingest import list_sequences, nuscenes_tables, open_sequence, recognise
from fleetlabel.geometry import se3
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import canonical
from fleetlabel.store import SampleStatus
from ingest.contract import SourceContract
from ingest.nuscenes_drive import (
    EGO_FROM_LIDAR,
    PERIOD_S,
    SCENE,
    START_US,
    VERSION,
    edit,
    write_nuscenes,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nuscenes") / "drive"
    write_nuscenes(folder)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "drive"))


class TestContract(SourceContract):
    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        return sorted(drive.glob(f"*/{sensor}/*"), key=lambda path: path.name)[frame]


class TestConventions:
    def test_it_is_recognised_and_scenes_are_sequences(self, drive: Path) -> None:
        assert recognise(drive).name == "nuscenes"
        shutil.copytree(drive / VERSION, drive / "v1.0-trainval")
        edit(drive, "scene", lambda rows: rows[0].update(name="scene-0001"), "v1.0-trainval")
        assert list_sequences(drive) == ("scene-0001", "scene-0061")
        assert open_sequence(drive, "scene-0001").info.source["version"] == "v1.0-trainval"
        assert open_sequence(drive, "scene-0061").info.source["version"] == VERSION

    def test_every_sweep_is_a_frame_not_only_those_of_samples(self, written: Path) -> None:
        info = open_sequence(written).info
        expected = (START_US + np.round(PERIOD_S * np.arange(6) * 1e6).astype(np.int64)) * 1000
        np.testing.assert_array_equal(info.frame_timestamp_ns, expected)
        assert [sensor.name for sensor in info.sensors] == ["CAM_BACK", "CAM_FRONT", "LIDAR_TOP"]
        assert info.source["location"] == "onenorth"

    def test_points_are_placed_by_the_pose_of_their_own_sweep(self, written: Path) -> None:
        source = open_sequence(written)
        part, _ = source.read_sensor("LIDAR_TOP", 0, 6)
        sensor = source.info.sensor("LIDAR_TOP")
        np.testing.assert_allclose(sensor.ego_from_sensor, EGO_FROM_LIDAR, atol=1e-12)
        for frame in range(6):
            pose = source.info.trajectory.at(part.samples["timestamp_ns"][frame : frame + 1])[0]
            points = part.flat["points"][slice(*part.offsets[[frame, frame + 1]])]
            world = se3.apply(pose @ sensor.ego_from_sensor, points[:, :3].astype(np.float64))
            np.testing.assert_allclose(world, SCENE.points_world(PERIOD_S * frame), atol=1e-4)
            np.testing.assert_array_equal(points[:, 3], np.arange(len(points)) % 256)
        assert sensor.motion_compensated
        assert not part.flat["point_time_offset_ns"].any()

    def test_boxes_are_in_samples_frames_with_lengths_first(self, written: Path) -> None:
        truth = open_sequence(written).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        boxes = truth.boxes3d
        assert sorted(set(boxes.frame.tolist())) == truth.provenance["labelled_frames"] == [0, 2, 4]
        for row in range(len(boxes)):
            which = int(truth.provenance["instance_tokens"][boxes.track_id[row]].removeprefix("instance-"))
            center, size, _ = SCENE.objects(PERIOD_S * int(boxes.frame[row]))
            np.testing.assert_allclose(boxes.center_m[row], center[which], atol=1e-9)
            np.testing.assert_allclose(boxes.size_lwh_m[row], size[which], atol=1e-9)
            assert boxes.n_points[row] == 10 * which + boxes.frame[row] // 2
            assert boxes.occlusion[row] == 3 - (which + boxes.frame[row] // 2) % 4
            assert boxes.class_labels()[row] == ("vehicle.truck" if which == 2 else "vehicle.car")
        assert all(canonical(name) for name in truth.class_names)

    def test_attributes_are_kept_box_by_box(self, written: Path) -> None:
        truth = open_sequence(written).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        kept = truth.provenance["attributes"]
        assert kept["names"] == ["vehicle.moving", "vehicle.parked"]
        for track, names in zip(truth.boxes3d.track_id.tolist(), kept["of_boxes3d"], strict=True):
            assert names == ([track] if track < 2 else [])

    def test_cameras_at_a_rate_of_their_own_lose_no_picture(self, tmp_path: Path) -> None:
        write_nuscenes(tmp_path / "slow", camera_period_s=1 / 12)
        source = open_sequence(tmp_path / "slow")
        part, quarantined = source.read_sensor("CAM_FRONT", 0, 6)
        assert quarantined == []
        assert (part.samples["status"] == SampleStatus.OK).sum() == 4
        times_s = (part.samples["timestamp_ns"][part.samples["status"] == 0] / 1e3 - START_US) / 1e6
        np.testing.assert_allclose(times_s, np.arange(4) / 12 - 0.012, atol=2e-6)

    def test_without_tables_of_labels_there_is_no_ground_truth(self, drive: Path) -> None:
        for table in ("sample_annotation", "instance", "category", "attribute", "visibility"):
            (drive / VERSION / f"{table}.json").unlink()
        assert open_sequence(drive).ground_truth() is None

    def test_large_tables_are_indexed_once_and_read_the_same(
        self, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        truth = open_sequence(drive).ground_truth()
        monkeypatch.setattr(nuscenes_tables, "_IN_MEMORY_BYTES", 0)
        monkeypatch.setenv("FLEETLABEL_SCRATCH", str(tmp_path / "scratch"))
        again = Path(shutil.copytree(drive, tmp_path / "again"))
        for _ in range(2):
            found = nuscenes_tables.NuScenesTables(again / VERSION)
            assert len(found.rows("select * from annotation")) == 9
            kept = list((tmp_path / "scratch").rglob("*"))
            assert [path.name for path in kept if path.is_file()] == ["tables.sqlite"]
        second = open_sequence(again).ground_truth()
        assert truth is not None
        assert second is not None
        assert second.boxes3d is not None
        assert truth.boxes3d is not None
        np.testing.assert_array_equal(second.boxes3d.center_m, truth.boxes3d.center_m)


class TestAgainstDevkit:
    def test_points_and_boxes_are_where_the_devkit_has_them(
        self, written: Path, ask_loader: Callable[..., Any]
    ) -> None:
        theirs = ask_loader("nuscenes", written, VERSION)
        source = open_sequence(written)
        info, truth = source.info, source.ground_truth()
        part, _ = source.read_sensor("LIDAR_TOP", 0, 6)
        assert len(theirs["points"]) == 6
        for frame, time in enumerate(part.samples["timestamp_ns"].tolist()):
            pose = info.trajectory.at(np.array([time]))[0] @ info.sensor("LIDAR_TOP").ego_from_sensor
            points = part.flat["points"][slice(*part.offsets[[frame, frame + 1]])][::50, :3]
            ours = se3.apply(pose, points.astype(np.float64)) + info.world_offset_m
            np.testing.assert_allclose(ours, theirs["points"][str(time // 1000)], atol=2e-4)
        assert truth is not None
        boxes = truth.boxes3d
        assert boxes is not None
        assert len(boxes) == len(theirs["boxes"])
        corners = boxes.corners_m()
        tokens = truth.provenance["instance_tokens"]
        for row, time in enumerate((boxes.timestamp_ns // 1000).tolist()):
            name, expected = theirs["boxes"][f"{time} {tokens[boxes.track_id[row]]}"]
            assert boxes.class_labels()[row] == name
            _same_corners(corners[row] + info.world_offset_m, np.array(expected), 1e-6)
        drawn = 0
        sensor = info.sensor("CAM_FRONT")
        assert sensor.camera is not None
        for time, by_token in theirs["drawn"].items():
            camera_from_world = se3.invert(
                info.trajectory.at(np.array([int(time) * 1000]))[0] @ sensor.ego_from_sensor
            )
            frame = int(np.argmin(np.abs(info.frame_timestamp_ns // 1000 - int(time))))
            for row in np.flatnonzero(boxes.frame == frame).tolist():
                expected = by_token.get(tokens[boxes.track_id[row]])
                if expected is None:  # out of the picture
                    continue
                uv, _ = sensor.camera.project(se3.apply(camera_from_world, corners[row]))
                _same_corners(uv, np.array(expected), 1e-3)
                drawn += 1
        assert drawn >= 6


def _same_corners(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    apart = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    assert apart.min(axis=1).max() < tolerance
    assert apart.min(axis=0).max() < tolerance


class TestBroken:
    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "samples/../../../x.jpg", "a\0/b"])
    def test_a_file_name_that_leads_out_is_refused(self, drive: Path, name: str) -> None:
        edit(drive, "sample_data", lambda rows: rows[0].update(filename=name))
        with pytest.raises(SourceError, match=r"sample_data\.json.*filename is .*expected a path below"):
            open_sequence(drive)

    def test_a_link_that_leads_out_is_refused_but_data_may_lie_elsewhere(
        self, drive: Path, tmp_path: Path
    ) -> None:
        (drive / "samples").rename(tmp_path / "disk")
        (drive / "samples").symlink_to(tmp_path / "disk")
        assert open_sequence(drive).read_sensor("LIDAR_TOP", 0, 6)[1] == []
        path = sorted((tmp_path / "disk/LIDAR_TOP").iterdir())[0]
        path.rename(tmp_path / "elsewhere.bin")
        path.symlink_to(tmp_path / "elsewhere.bin")
        part, quarantined = open_sequence(drive).read_sensor("LIDAR_TOP", 0, 1)
        assert "leads out" in quarantined[0].reason
        assert part.counts.tolist() == [0]

    def test_a_sweep_cut_off_is_set_aside(self, drive: Path) -> None:
        path = TestContract().data_file(drive, "LIDAR_TOP", 1)
        path.write_bytes(path.read_bytes()[:-3])
        _, quarantined = open_sequence(drive).read_sensor("LIDAR_TOP", 0, 6)
        assert [entry.sample for entry in quarantined] == [1]
        assert "not a multiple of 20" in quarantined[0].reason
        assert str(path) in quarantined[0].reason

    @pytest.mark.parametrize(
        ("table", "change", "message"),
        [
            (
                "sample_data",
                lambda rows: rows[3].update(timestamp="soon"),
                r"row 3: timestamp is soon, expected micro",
            ),
            ("sample_data", lambda rows: rows[3].update(timestamp=10**400), r"row 3: timestamp is 1000"),
            (
                "sample_data",
                lambda rows: rows[3].update(timestamp=8_000_000_000_000_000),
                r"span .* more than any drive|have no pose within",
            ),
            ("sample_data", lambda rows: rows[0].update(sample_token="x"), r"row 0 is of sample 'x'"),
            ("sample_data", lambda rows: rows[0].update(calibrated_sensor_token="x"), "calibration 'x'"),
            ("sample_data", lambda rows: [7], r"row 0 is 7, expected a row with named fields"),
            ("sample_data", lambda rows: [], r"has no camera and no lidar"),
            (
                "calibrated_sensor",
                lambda rows: [row.update(camera_intrinsic=[[1, 0], [0, 1]]) for row in rows] and None,
                "camera_intrinsic is .* expected 3 x 3",
            ),
            (
                "calibrated_sensor",
                lambda rows: rows[0].update(rotation=[0, 0, 0, 0]),
                "translation and rotation are no pose",
            ),
            (
                "ego_pose",
                lambda rows: [row.update(translation=[float("nan")] * 3) for row in rows] and None,
                "none of its .* has an ego pose",
            ),
            ("scene", lambda rows: rows[0].pop("name") and None, r"scene\.json row 0: name is 'None'"),
        ],
    )
    def test_broken_tables_name_file_and_row(
        self, drive: Path, table: str, change: Callable[[list[dict[str, Any]]], Any], message: str
    ) -> None:
        edit(drive, table, change)
        with pytest.raises(SourceError, match=message):
            open_sequence(drive)

    @pytest.mark.parametrize("table", ["sample", "ego_pose", "sensor"])
    def test_missing_and_cut_off_tables(self, drive: Path, table: str) -> None:
        path = drive / VERSION / f"{table}.json"
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(SourceError, match=rf"{table}\.json .*cut off"):
            open_sequence(drive)
        path.unlink()
        with pytest.raises(SourceError, match=rf"{table}\.json is missing"):
            open_sequence(drive)

    def test_nested_json_and_zip_bombs(self, drive: Path) -> None:
        path = drive / VERSION / "ego_pose.json"
        path.write_text("[" + "[" * 200_000)
        with pytest.raises(SourceError, match=r"ego_pose\.json is nested"):
            open_sequence(drive)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("p.json", "w") as file:
            file.write(b"[")
            for _ in range(300):
                file.write(b" " * (1 << 20))
        with pytest.raises(SourceError, match=r"ego_pose\.json unpacks to more than"):
            open_sequence(drive)

    def test_poses_that_are_not_finite_are_interpolated_and_said(self, drive: Path) -> None:
        expected = open_sequence(drive).info
        edit(drive, "ego_pose", lambda rows: rows[-9].update(translation=[float("nan"), 0, 0]))
        edit(drive, "ego_pose", lambda rows: rows[-8].update(rotation=["x", 0, 0, 0]))
        source = open_sequence(drive)
        assert any("2 ego poses are missing or not finite" in warning for warning in source.warnings)
        at = source.info.frame_timestamp_ns
        np.testing.assert_allclose(source.info.trajectory.at(at), expected.trajectory.at(at), atol=1e-3)

    def test_annotations_that_are_no_boxes_are_set_aside(self, drive: Path) -> None:
        def broken(rows: list[dict[str, Any]]) -> None:
            rows[0]["size"] = [1.0, -2.0, 1.0]
            rows[1]["translation"] = [1.0, 2.0]
            rows[4]["instance_token"] = "nobody's"

        path = edit(drive, "sample_annotation", broken)
        truth = open_sequence(drive).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == 6
        assert sorted(entry.sample for entry in truth.quarantined) == [0, 2, 2]
        assert all(f"{path} row" in entry.reason for entry in truth.quarantined)

    def test_a_camera_calibrated_anew_within_the_scene_is_set_aside_there(self, drive: Path) -> None:
        edit(
            drive,
            "calibrated_sensor",
            lambda rows: rows.append({**rows[0], "token": "anew", "translation": [0, 0, 1]}),
        )
        edit(drive, "sample_data", lambda rows: rows[2].update(calibrated_sensor_token="anew"))
        source = open_sequence(drive)
        _, quarantined = source.read_sensor("CAM_FRONT", 0, 6)
        assert [entry.sample for entry in quarantined] == [2]
        assert "is of calibration anew" in quarantined[0].reason

    def test_two_samples_at_one_time(self, drive: Path) -> None:
        def twins(rows: list[dict[str, Any]]) -> None:
            mine = [row for row in rows if row["filename"].startswith(("samples/LIDAR", "sweeps/LIDAR"))]
            mine[3]["timestamp"] = mine[2]["timestamp"]

        edit(drive, "sample_data", twins)
        source = open_sequence(drive)
        assert len(source.read_sensor("LIDAR_TOP", 0, source.info.n_frames)[1]) == 1
