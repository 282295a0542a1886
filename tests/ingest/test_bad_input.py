"""Broken drives: each message names the file, nothing is lost, and what is not broken is still read."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.testing import Scene, write_kitti, write_pandaset
from fleetlabel.model.errors import SourceError
from fleetlabel.store import SampleStatus

SCENE = Scene(n_frames=6, n_objects=2)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drives")
    write_pandaset(root / "pandaset", SCENE)
    write_kitti(root / "kitti", SCENE)
    return root


@pytest.fixture
def pandaset(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written / "pandaset", tmp_path / "pandaset"))


@pytest.fixture
def kitti(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written / "kitti", tmp_path / "kitti"))


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


def at(index: int, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda entries: [value if row == index else entry for row, entry in enumerate(entries)]


def check_one_aside(drive: Path, sensor: str, frame: int, *parts: str) -> None:
    """One frame of one sensor is quarantined for a reason with these words; all other frames are fine."""
    source = open_sequence(drive)
    for other in source.info.sensors:
        part, quarantined = source.read_sensor(other.name, 0, 6)
        if other.name == sensor:
            assert [q.sample for q in quarantined] == [frame]
            for words in parts:
                assert words in quarantined[0].reason
            assert part.samples["status"][frame] == SampleStatus.QUARANTINED
            assert (np.delete(part.samples["status"], frame) == SampleStatus.OK).all()


class TestPictures:
    def test_truncated_jpeg(self, pandaset: Path) -> None:
        path = pandaset / "camera/front_camera/02.jpg"
        path.write_bytes(path.read_bytes()[:-50])
        check_one_aside(pandaset, "front_camera", 2, str(path), "cut off", "restore it")
        part, _ = open_sequence(pandaset).read_sensor("front_camera", 2, 3)
        assert part.flat["jpeg"].tobytes() == path.read_bytes()

    def test_truncated_png(self, kitti: Path) -> None:
        path = kitti / "image_02/0000/000003.png"
        path.write_bytes(path.read_bytes()[:-50])
        check_one_aside(kitti, "image_02", 3, str(path), "cut off")

    def test_picture_of_another_size(self, pandaset: Path, tmp_path: Path) -> None:
        import simplejpeg

        path = pandaset / "camera/back_camera/04.jpg"
        path.write_bytes(simplejpeg.encode_jpeg(np.zeros((20, 30, 3), np.uint8)))
        check_one_aside(pandaset, "back_camera", 4, str(path), "30x20 px", "calibration is for 192x108")

    def test_first_picture_broken_does_not_decide_the_size(self, pandaset: Path) -> None:
        (pandaset / "camera/front_camera/00.jpg").write_bytes(b"\xff\xd8\xff")
        check_one_aside(pandaset, "front_camera", 0, "00.jpg")

    def test_camera_without_frames_is_left_out_with_a_warning(self, pandaset: Path) -> None:
        for path in (pandaset / "camera/back_camera").glob("*.jpg"):
            path.unlink()
        source = open_sequence(pandaset)
        assert "back_camera" not in [sensor.name for sensor in source.info.sensors]
        assert any("camera/back_camera has no pictures" in warning for warning in source.warnings)
        assert source.read_sensor("front_camera", 0, 6)[1] == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_unreadable_picture(self, pandaset: Path) -> None:
        (pandaset / "camera/front_camera/01.jpg").chmod(0)
        check_one_aside(pandaset, "front_camera", 1, "01.jpg", "Permission denied")


class TestSweeps:
    @pytest.mark.parametrize("lidar", ["pandar64", "pandar_gt"])
    def test_truncated_gzip(self, pandaset: Path, lidar: str) -> None:
        path = pandaset / "lidar/03.pkl.gz"
        path.write_bytes(path.read_bytes()[:-100])
        check_one_aside(pandaset, lidar, 3, str(path), "cut off")

    def test_pickle_that_runs_code_is_refused_and_named(self, pandaset: Path, tmp_path: Path) -> None:
        class Attack:
            def __reduce__(self) -> Any:
                return os.system, (f"touch {tmp_path}/pwned",)

        path = pandaset / "lidar/01.pkl.gz"
        path.write_bytes(gzip.compress(pickle.dumps(Attack())))
        check_one_aside(pandaset, "pandar64", 1, str(path), "system", "refused")
        cuboids = pandaset / "annotations/cuboids/02.pkl.gz"
        shutil.copy(path, cuboids)
        truth = open_sequence(pandaset).ground_truth()
        assert truth is not None
        assert [q.sample for q in truth.quarantined] == [2]
        assert "refused" in truth.quarantined[0].reason
        assert truth.boxes3d is not None
        assert sorted(set(truth.boxes3d.frame.tolist())) == [0, 1, 3, 4, 5]
        assert not (tmp_path / "pwned").exists()

    def test_points_that_are_not_finite_are_dropped_and_counted(self, pandaset: Path) -> None:
        path = pandaset / "lidar/02.pkl.gz"
        table = pd.read_pickle(path)
        spinning = np.flatnonzero(table.d == 0)
        table.loc[spinning[:7], "x"] = np.nan
        table.loc[spinning[7:10], "z"] = np.inf
        table.loc[spinning[10:12], "i"] = np.nan
        table.to_pickle(path)
        part, quarantined = open_sequence(pandaset).read_sensor("pandar64", 0, 6)
        assert quarantined == []
        assert part.samples["dropped_points"].tolist() == [0, 0, 10, 0, 0, 0]
        assert np.isfinite(part.flat["points"]).all()
        assert part.counts[2] == len(spinning) - 10

    def test_sweep_without_a_finite_point_is_set_aside(self, pandaset: Path) -> None:
        path = pandaset / "lidar/02.pkl.gz"
        table = pd.read_pickle(path)
        table["y"] = np.nan
        table.to_pickle(path)
        check_one_aside(pandaset, "pandar64", 2, str(path), "none of its")

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (pd.DataFrame({"x": [1.0], "y": [1.0]}), "columns ['x', 'y']"),
            (pd.DataFrame({name: np.empty(0) for name in "xyzitd"}), "has 0 points"),
            (pd.DataFrame({**{n: [1.0] for n in "yzit"}, "x": ["a"], "d": [0]}), "column x holds object"),
        ],
    )
    def test_table_of_something_else(self, pandaset: Path, table: pd.DataFrame, message: str) -> None:
        table.to_pickle(pandaset / "lidar/02.pkl.gz")
        check_one_aside(pandaset, "pandar64", 2, "02.pkl.gz", message)

    def test_kitti_sweep_cut_within_a_point(self, kitti: Path) -> None:
        path = kitti / "velodyne/0000/000001.bin"
        path.write_bytes(path.read_bytes()[:-5])
        check_one_aside(kitti, "velodyne", 1, str(path), "not a multiple of 16", "cut off")

    def test_kitti_points_that_are_not_finite(self, kitti: Path) -> None:
        path = kitti / "velodyne/0000/000001.bin"
        rows = np.frombuffer(path.read_bytes(), "<f4").reshape(-1, 4).copy()
        rows[:5, 1] = np.nan
        rows[5:8, 0] = -np.inf
        path.write_bytes(rows.tobytes())
        part, quarantined = open_sequence(kitti).read_sensor("velodyne", 0, 6)
        assert quarantined == []
        assert part.samples["dropped_points"].tolist() == [0, 8, 0, 0, 0, 0]
        rows[:] = np.nan
        path.write_bytes(rows.tobytes())
        check_one_aside(kitti, "velodyne", 1, str(path), "finite")


class TestTimes:
    @pytest.mark.parametrize("sensor", ["front_camera", "pandar64"])
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: at(3, t[2])(t), "same timestamp as frame 2"),
            (lambda t: at(3, t[0] - 1)(t), "out of order"),
            (lambda t: at(3, t[5] + 100)(t), "out of order"),
            (lambda t: at(3, None)(t), "not a number"),
            (lambda t: at(3, float("nan"))(t), "not a number"),
        ],
        ids=["duplicate", "backwards", "ahead", "null", "nan"],
    )
    def test_a_bad_time_sets_its_sample_aside(
        self, pandaset: Path, sensor: str, change: Callable[[Any], Any], message: str
    ) -> None:
        folder = pandaset / ("lidar" if sensor == "pandar64" else f"camera/{sensor}")
        good = open_sequence(pandaset)
        expected, _ = good.read_sensor(sensor, 3, 4)
        edit(folder / "timestamps.json", change)
        check_one_aside(pandaset, sensor, 3, str(folder / "timestamps.json"), message)
        source = open_sequence(pandaset)
        part, _ = source.read_sensor(sensor, 3, 4)
        # Its time is a guess, and its data is kept.
        assert abs(part.samples["timestamp_ns"][0] - expected.samples["timestamp_ns"][0]) < 2_000_000
        assert part.counts.tolist() == expected.counts.tolist()
        np.testing.assert_allclose(
            source.info.trajectory.at(good.info.frame_timestamp_ns),
            good.info.trajectory.at(good.info.frame_timestamp_ns),
            atol=0.02,
        )

    def test_a_picture_far_from_every_pose_is_set_aside(self, pandaset: Path) -> None:
        edit(pandaset / "camera/front_camera/timestamps.json", lambda t: at(5, t[5] + 60)(t))
        check_one_aside(pandaset, "front_camera", 5, "from any ego pose")

    def test_a_clock_that_runs_backwards_ends_the_import(self, pandaset: Path) -> None:
        edit(pandaset / "lidar/timestamps.json", lambda times: times[::-1])
        with pytest.raises(SourceError, match=r"lidar/timestamps\.json: only 1 of 6"):
            open_sequence(pandaset)


class TestMetadata:
    @pytest.mark.parametrize(
        "name",
        [
            "lidar/timestamps.json",
            "lidar/poses.json",
            "camera/front_camera/intrinsics.json",
            "camera/front_camera/poses.json",
            "camera/back_camera/timestamps.json",
        ],
    )
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "is missing"),
            (b"", "is empty"),
            (b'[{"position"', "not valid JSON"),
            (b"[" * 100_000, "not valid JSON"),
            (b"\xff\xfe\x00", "not valid JSON"),
            (b"{}", "not a list|no fx"),
        ],
        ids=["missing", "empty", "cut", "deep", "binary", "wrong"],
    )
    def test_missing_or_unreadable_file_is_named(
        self, pandaset: Path, name: str, content: bytes | None, message: str
    ) -> None:
        path = pandaset / name
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SourceError, match=f"(?s){path}.*({message})"):
            open_sequence(pandaset)

    def test_focal_length_that_is_none(self, pandaset: Path) -> None:
        edit(pandaset / "camera/front_camera/intrinsics.json", lambda entry: {**entry, "fx": 0})
        with pytest.raises(SourceError, match="focal lengths must be positive"):
            open_sequence(pandaset)

    def test_one_bad_ego_pose_is_interpolated_with_a_warning(self, pandaset: Path) -> None:
        good = open_sequence(pandaset).info
        edit(pandaset / "lidar/poses.json", lambda p: at(2, {**p[2], "heading": dict.fromkeys("wxyz", 0)})(p))
        source = open_sequence(pandaset)
        assert any("lidar/poses.json: poses of 1 frames" in warning for warning in source.warnings)
        np.testing.assert_allclose(
            source.info.trajectory.at(good.frame_timestamp_ns),
            good.trajectory.at(good.frame_timestamp_ns),
            atol=0.02,
        )

    def test_a_camera_pose_far_off_is_not_believed(self, pandaset: Path) -> None:
        good = open_sequence(pandaset).info
        moved = {"x": 50.0, "y": 0.0, "z": 0.0}
        edit(pandaset / "camera/front_camera/poses.json", lambda p: at(2, {**p[2], "position": moved})(p))
        source = open_sequence(pandaset)
        assert any("camera/front_camera/poses.json" in warning for warning in source.warnings)
        np.testing.assert_allclose(
            source.info.trajectory.at(good.frame_timestamp_ns),
            good.trajectory.at(good.frame_timestamp_ns),
            atol=0.02,
        )

    def test_without_usable_ego_poses_nothing_can_be_placed(self, pandaset: Path) -> None:
        edit(
            pandaset / "lidar/poses.json",
            lambda poses: [{**pose, "position": dict.fromkeys("xyz", float("nan"))} for pose in poses],
        )
        with pytest.raises(SourceError, match=r"lidar/poses\.json: 0 of 6 poses"):
            open_sequence(pandaset)

    def test_times_of_the_files_that_are_there(self, pandaset: Path) -> None:
        """A log that lists only the sweeps it has: entries belong to files, not to numbers."""
        expected = open_sequence(pandaset)
        (pandaset / "lidar/02.pkl.gz").unlink()
        for name in ("timestamps.json", "poses.json"):
            edit(pandaset / "lidar" / name, lambda entries: entries[:2] + entries[3:])
        source = open_sequence(pandaset)
        part, quarantined = source.read_sensor("pandar64", 0, 6)
        assert quarantined == []
        assert part.samples["status"].tolist() == [0, 0, SampleStatus.MISSING, 0, 0, 0]
        np.testing.assert_allclose(
            source.info.frame_timestamp_ns, expected.info.frame_timestamp_ns, atol=2_000_000
        )
        whole, _ = expected.read_sensor("pandar64", 3, 6)
        np.testing.assert_allclose(part.take(3, 6).flat["points"], whole.flat["points"], atol=1e-4)

    def test_times_that_fit_neither_files_nor_numbers(self, pandaset: Path) -> None:
        edit(pandaset / "lidar/timestamps.json", lambda entries: entries[:4])
        with pytest.raises(SourceError, match=r"has 4 entries, but there are 6 files numbered up to 5"):
            open_sequence(pandaset)

    def test_absurd_frame_number(self, pandaset: Path) -> None:
        (pandaset / "lidar/99999999999.pkl.gz").write_bytes(b"")
        with pytest.raises(SourceError, match="no drive has so many frames"):
            open_sequence(pandaset)


class TestKittiMetadata:
    def test_missing_calibration(self, kitti: Path) -> None:
        (kitti / "calib/0000.txt").unlink()
        with pytest.raises(SourceError, match=r"calib/0000\.txt is missing"):
            open_sequence(kitti)

    def test_missing_poses(self, kitti: Path) -> None:
        (kitti / "ego_pose/0000.json").unlink()
        with pytest.raises(
            SourceError, match=r"no ego poses of sequence 0000: expected .*ego_pose.* or .*oxts"
        ):
            open_sequence(kitti)

    def test_poses_that_end_early(self, kitti: Path) -> None:
        edit(kitti / "ego_pose/0000.json", lambda poses: poses[:2])
        with pytest.raises(SourceError, match=r"frames, 4 to 5, have no pose within"):
            open_sequence(kitti)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda poses: [[1, 2], [3]], "N x 4 x 4"),
            (lambda poses: [row[:3] for row in poses], "shape"),
            (lambda poses: (2 * np.array(poses)).tolist(), "not a rotation"),
            (lambda poses: np.full((6, 4, 4), np.nan).tolist(), "none of its 6 poses is finite"),
        ],
    )
    def test_poses_that_are_none(self, kitti: Path, change: Callable[[Any], Any], message: str) -> None:
        edit(kitti / "ego_pose/0000.json", change)
        with pytest.raises(SourceError, match=rf"0000\.json.*{message}"):
            open_sequence(kitti)

    def test_one_pose_that_is_not_finite(self, kitti: Path) -> None:
        edit(kitti / "ego_pose/0000.json", lambda p: at(2, np.full((4, 4), np.nan).tolist())(p))
        source = open_sequence(kitti)
        assert "1 frames are not finite" in source.warnings[0]
        expected = SCENE.world_from_ego(np.array([0.2]))
        np.testing.assert_allclose(source.info.trajectory.at(np.array([200_000_000])), expected, atol=0.01)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2 5 Car 0 0 1 2 3", "found 5 columns, expected 14"),
            ("2 5 Car 0 0 x 1 2 3 4 1 1 1 0 0 9 0", "could not convert"),
            ("2 5 Car 0 0 nan 1 2 3 4 1 1 1 0 0 9 0", "finite"),
            ("2", "found 1 columns"),
        ],
    )
    def test_broken_label_row_is_set_aside(self, kitti: Path, row: str, message: str) -> None:
        path = kitti / "label_02/0000.txt"
        before = open_sequence(kitti).ground_truth()
        path.write_text(row + "\n" + path.read_text())
        truth = open_sequence(kitti).ground_truth()
        assert before is not None
        assert truth is not None
        assert len(truth.boxes2d["image_02"]) == len(before.boxes2d["image_02"])
        assert len(truth.quarantined) == 1
        assert "0000.txt line 1" in truth.quarantined[0].reason
        assert message in truth.quarantined[0].reason

    def test_empty_label_file_is_no_objects(self, kitti: Path) -> None:
        (kitti / "label_02/0000.txt").write_text("")
        truth = open_sequence(kitti).ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == 0

    def test_repeated_identity_is_reported(self, kitti: Path) -> None:
        path = kitti / "label_02/0000.txt"
        rows = path.read_text().splitlines()
        path.write_text("\n".join([*rows, next(row for row in rows if " Car " in row)]))
        truth = open_sequence(kitti).ground_truth()
        assert truth is not None
        assert "1 rows repeat the track id" in truth.notes[0]


class TestCuboids:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.drop(columns="yaw"), "has no columns ['yaw']"),
            (lambda t: t.assign(yaw=np.nan), "row 0: position, size or yaw is not finite"),
            (lambda t: t.assign(**{"dimensions.x": -1.0}), "a size is not positive"),
            (lambda t: t.assign(**{"position.x": "here"}), "holds something else"),
        ],
    )
    def test_bad_table_is_set_aside(self, pandaset: Path, change: Callable[[Any], Any], message: str) -> None:
        path = pandaset / "annotations/cuboids/01.pkl.gz"
        change(pd.read_pickle(path)).to_pickle(path)
        truth = open_sequence(pandaset).ground_truth()
        assert truth is not None
        assert [q.sample for q in truth.quarantined] == [1]
        assert str(path) in truth.quarantined[0].reason
        assert message in truth.quarantined[0].reason

    def test_no_readable_table_at_all(self, pandaset: Path) -> None:
        for path in (pandaset / "annotations/cuboids").iterdir():
            path.write_bytes(b"")
        truth = open_sequence(pandaset).ground_truth()
        assert truth is not None
        assert len(truth.quarantined) == 6
        assert truth.boxes3d is not None
        assert len(truth.boxes3d) == 0

    def test_drive_without_labels(self, pandaset: Path, kitti: Path) -> None:
        shutil.rmtree(pandaset / "annotations")
        (kitti / "label_02/0000.txt").unlink()
        assert open_sequence(pandaset).ground_truth() is None
        assert open_sequence(kitti).ground_truth() is None
