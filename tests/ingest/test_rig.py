from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.rig_labels import read_boxes, write_boxes
from fleetlabel.engine.ingest.rig_schema import json_schema
from fleetlabel.engine.ingest.rig_writer import RigWriter, write_rig
from fleetlabel.engine.ingest.source import SequenceSource
from fleetlabel.engine.ingest.testing import Scene, camera_model, ingest, write_kitti, write_pandaset
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus
from ingest.contract import SourceContract

SCENE = Scene(n_frames=6, n_objects=3)
MODEL = camera_model()
LOOKS_FORWARD = [[0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 0.2], [0, 0, 0, 1]]


@pytest.fixture(scope="module")
def pandaset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pandaset") / "drive"
    write_pandaset(folder, SCENE)
    return folder


@pytest.fixture(scope="module")
def written(pandaset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rig folder that was written from a PandaSet drive."""
    folder = tmp_path_factory.mktemp("rig") / "drive"
    write_rig(open_sequence(pandaset), folder, chunk_frames=4)
    return folder


@pytest.fixture
def drive(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "drive"))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A rig folder as a person would lay it out: no list of files, a quaternion, KITTI's sweeps, TUM poses."""
    folder = tmp_path / "plain"
    (folder / "front").mkdir(parents=True)
    (folder / "top").mkdir()
    for frame in range(4):
        picture = SCENE.picture(
            MODEL, SCENE.world_from_ego(np.array([0.1 * frame]))[0] @ LOOKS_FORWARD, 0.1 * frame
        )
        import simplejpeg

        # 9 comes before 10 in natural order only
        (folder / f"front/img{frame + 8}.jpg").write_bytes(
            simplejpeg.encode_jpeg(np.ascontiguousarray(picture))
        )
        sweep = np.concatenate([SCENE.points_world(0.1 * frame), np.ones((1950, 1))], axis=1).astype("<f4")
        (folder / f"top/{frame}.bin").write_bytes(sweep.tobytes())
    (folder / "top.txt").write_text("".join(f"{10**18 + frame * 10**8}\n" for frame in range(4)))
    rows = [f"{10**9 + frame / 10:.1f} {frame / 2} 0 0 0 0 0 1\n" for frame in range(5)]
    (folder / "poses.tum").write_text("# time x y z qx qy qz qw\n" + "".join(rows))
    (folder / "rig.yaml").write_text(
        f"""
version: 1
frames: {{reference: top}}
poses: {{file: poses.tum}}
cameras:
  - name: front
    model: {json.dumps(MODEL.to_dict())}
    ego_from_sensor: {{translation_m: [1, 0, 0.2], q_wxyz: [0.5, -0.5, 0.5, -0.5]}}
    data: front
    clock: {{start_ns: 1000000000050000000, rate_hz: 10}}
lidars:
  - name: top
    ego_from_sensor: {{matrix: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}}
    data: top/*.bin
    timestamps: top.txt
"""
    )
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "rig.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def validate(folder: Path) -> tuple[int, str]:
    from fleetlabel.engine.cli.app import app

    result = CliRunner().invoke(app, ["validate", str(folder)])
    return result.exit_code, result.output


def require_same(first: SequenceSource, second: SequenceSource) -> None:
    assert [s.to_dict() for s in first.info.sensors] == [s.to_dict() for s in second.info.sensors]
    one, two = first.info, second.info
    np.testing.assert_array_equal(one.frame_timestamp_ns, two.frame_timestamp_ns)
    np.testing.assert_array_equal(one.trajectory.timestamp_ns, two.trajectory.timestamp_ns)
    np.testing.assert_array_equal(one.trajectory.world_from_ego, two.trajectory.world_from_ego)
    assert one.trajectory.max_extrapolation_ns == two.trajectory.max_extrapolation_ns
    np.testing.assert_array_equal(one.world_offset_m, two.world_offset_m)
    for sensor in one.sensors:
        a, broken_a = first.read_sensor(sensor.name, 0, one.n_frames)
        b, broken_b = second.read_sensor(sensor.name, 0, one.n_frames)
        np.testing.assert_array_equal(a.digests(), b.digests(), sensor.name)
        assert [entry.sample for entry in broken_a] == [entry.sample for entry in broken_b]
    truth, again = first.ground_truth(), second.ground_truth()
    assert (truth is None) == (again is None)
    if truth is None or again is None:
        return
    assert truth.class_names == again.class_names
    assert truth.notes == again.notes
    assert truth.quarantined == again.quarantined
    assert truth.boxes2d.keys() == again.boxes2d.keys()
    pairs = [(truth.boxes2d[name], again.boxes2d[name]) for name in truth.boxes2d]
    for one_boxes, two_boxes in [*pairs, (truth.boxes3d, again.boxes3d)]:
        assert one_boxes is not None
        assert two_boxes is not None
        for name, values in one_boxes.columns().items():
            np.testing.assert_array_equal(values, two_boxes.columns()[name], name)


class TestContract(SourceContract):
    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        if sensor.endswith("_camera"):
            return drive / "cameras" / sensor / f"{frame:06d}.jpg"
        return drive / "lidar" / sensor / f"{frame:06d}.npy"


class TestWriting:
    def test_a_drive_comes_back_bit_for_bit(self, pandaset: Path, written: Path) -> None:
        require_same(open_sequence(pandaset), open_sequence(written))
        assert validate(written) == (0, f"{written}: 0 errors, 0 warnings\n")

    def test_gaps_broken_files_and_utm_come_back(self, tmp_path: Path) -> None:
        write_pandaset(tmp_path / "a", Scene(n_frames=5, start_m=(450_000.25, 5_500_000.5, 100.0)))
        (tmp_path / "a/camera/front_camera/02.jpg").unlink()
        (tmp_path / "a/camera/back_camera/01.jpg").write_bytes(b"")
        (tmp_path / "a/camera/back_camera/03.jpg").write_bytes(b"\xff\xd8 not whole")
        (tmp_path / "a/lidar/01.pkl.gz").write_bytes(b"noise")
        (tmp_path / "a/lidar/04.pkl.gz").unlink()
        source = open_sequence(tmp_path / "a")
        write_rig(source, tmp_path / "b", chunk_frames=2)
        again = open_sequence(tmp_path / "b")
        assert again.info.world_offset_m[0] > 400_000
        require_same(source, again)
        write_rig(again, tmp_path / "c")
        require_same(source, open_sequence(tmp_path / "c"))

    def test_another_format_without_pictures(self, tmp_path: Path) -> None:
        write_kitti(tmp_path / "kitti", SCENE, pictures=False)
        source = open_sequence(tmp_path / "kitti")
        write_rig(source, tmp_path / "rig")
        require_same(source, open_sequence(tmp_path / "rig"))

    def test_ranges_in_any_order_from_copies_of_the_writer(self, pandaset: Path, tmp_path: Path) -> None:
        import pickle

        source = open_sequence(pandaset)
        writer = RigWriter.create(tmp_path / "rig", source.info)
        for start in (4, 0, 2):
            worker: RigWriter = pickle.loads(pickle.dumps(writer))
            for sensor in source.info.sensors:
                worker.write_sensor_range(
                    sensor.name, start, *source.read_sensor(sensor.name, start, start + 2)
                )
        assert not (tmp_path / "rig").exists()
        writer.finish(source.ground_truth())
        require_same(source, open_sequence(tmp_path / "rig"))
        assert [path.name for path in tmp_path.iterdir()] == ["rig"]

    def test_a_forgotten_range_is_told(self, pandaset: Path, tmp_path: Path) -> None:
        source = open_sequence(pandaset)
        writer = RigWriter.create(tmp_path / "rig", source.info)
        writer.write_sensor_range("back_camera", 0, *source.read_sensor("back_camera", 0, 3))
        with pytest.raises(
            UsageError, match=r"back_camera has 3 frames written in 1 ranges, expected each of 0 to 5"
        ):
            writer.finish()

    def test_nothing_is_replaced_unasked_and_only_a_rig_at_all(self, pandaset: Path, tmp_path: Path) -> None:
        source = open_sequence(pandaset)
        write_rig(source, tmp_path / "rig")
        with pytest.raises(UsageError, match="already exists"):
            write_rig(source, tmp_path / "rig")
        (tmp_path / "rig/mark").write_text("old")
        write_rig(source, tmp_path / "rig", overwrite=True)
        assert not (tmp_path / "rig/mark").exists()
        (tmp_path / "mine").mkdir()
        with pytest.raises(UsageError, match="is not a rig folder"):
            write_rig(source, tmp_path / "mine", overwrite=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "rig"]

    def test_a_source_that_fails_leaves_nothing(self, pandaset: Path, tmp_path: Path) -> None:
        def stop(sensor: str, start: int, stop: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_rig(open_sequence(pandaset), tmp_path / "rig", on_chunk=stop)
        assert list(tmp_path.iterdir()) == []


class TestPlainFolder:
    def test_it_validates_and_is_read(self, plain: Path) -> None:
        code, said = validate(plain)
        assert (code, said) == (0, f"{plain}: 0 errors, 0 warnings\n")
        source = open_sequence(plain)
        assert source.info.name == "plain"
        np.testing.assert_allclose(source.info.sensor("front").ego_from_sensor, LOOKS_FORWARD, atol=1e-15)
        pictures, _ = source.read_sensor("front", 0, 4)
        assert pictures.samples["status"].tolist() == [0] * 4
        assert pictures.samples["timestamp_ns"].tolist() == [10**18 + 5 * 10**7 + i * 10**8 for i in range(4)]
        last = pictures.take(3, 4).flat["jpeg"].tobytes()
        assert last == (plain / "front/img11.jpg").read_bytes()
        sweeps, _ = source.read_sensor("top", 1, 2)
        assert sweeps.counts.tolist() == [1950]
        np.testing.assert_allclose(source.info.trajectory.at(np.array([10**18 + 10**8]))[0, 0, 3], 0.5)
        ingest(plain, plain.parent / "store")

    def test_without_poses_it_says_what_needs_them_and_none_stands_still(self, plain: Path) -> None:
        edit(plain, lambda rig: rig.pop("poses"))
        with pytest.raises(
            SourceError, match=r"poses: expected a value, found nothing; .*3D tracking need.*`poses: none`"
        ):
            open_sequence(plain)
        edit(plain, lambda rig: rig.update(poses="none"))
        source = open_sequence(plain)
        np.testing.assert_array_equal(source.info.trajectory.at(source.info.frame_timestamp_ns)[3], np.eye(4))
        assert "stand still" in source.warnings[0]
        assert validate(plain)[0] == 0

    def test_poses_of_every_spelling_are_the_same(self, plain: Path) -> None:
        expected = open_sequence(plain).info.trajectory
        times, poses = expected.timestamp_ns, expected.world_from_ego
        header = "qw,qx,timestamp_ns,x,y,z,qy,qz"
        rows = [[*p[3:5], t, *p[:3], *p[5:]] for t, p in zip(times.tolist(), poses.tolist(), strict=True)]
        text = "".join(",".join(map(repr, row)) + "\n" for row in rows)
        (plain / "named.csv").write_text(header + "\n" + text)
        (plain / "bare.csv").write_text(text)
        table = np.empty(
            len(times),
            [("timestamp_ns", "i8"), *((name, "f8") for name in ("x", "y", "z", "qw", "qx", "qy", "qz"))],
        )
        table["timestamp_ns"] = times
        for column, name in enumerate(("x", "y", "z", "qw", "qx", "qy", "qz")):
            table[name] = poses[:, column]
        np.save(plain / "poses.npy", table)
        for entry in (
            {"file": "named.csv"}, {"file": "bare.csv", "columns": header.split(",")}, {"file": "poses.npy"},
        ):  # fmt: skip
            edit(plain, lambda rig, entry=entry: rig.update(poses=entry))
            found = open_sequence(plain).info.trajectory
            np.testing.assert_array_equal(found.timestamp_ns, times)
            np.testing.assert_array_equal(found.world_from_ego, poses)

    def test_utm_is_recentred_labels_included(self, plain: Path) -> None:
        rows = [
            f"{10**18 + frame * 10**8},{600_000.5 + frame},{5_000_000.25},90,1,0,0,0" for frame in range(5)
        ]
        (plain / "utm.csv").write_text("timestamp_ns,x,y,z,qw,qx,qy,qz\n" + "\n".join(rows))
        (plain / "boxes.csv").write_text(
            "frame,class,x_m,y_m,z_m,length_m,width_m,height_m,yaw_rad,track_id\n"
            "2,car,600010,5000000.25,90,4,2,1.5,1.5,7\n0,van,600000,5000000,90,4,2,1.5,0,\n"
        )
        edit(plain, lambda rig: rig.update(poses={"file": "utm.csv"}, labels={"boxes3d": "boxes.csv"}))
        source = open_sequence(plain)
        truth = source.ground_truth()
        assert truth is not None
        assert truth.boxes3d is not None
        assert truth.class_names == ("car", "van")
        assert truth.boxes3d.frame.tolist() == [0, 2]
        assert truth.boxes3d.track_id.tolist() == [-1, 7]
        np.testing.assert_allclose(
            truth.boxes3d.center_m[1] + source.info.world_offset_m, [600010, 5000000.25, 90]
        )
        assert np.abs(truth.boxes3d.center_m).max() < 100

    def test_a_time_out_of_order_sets_one_sample_aside(self, plain: Path) -> None:
        edit(plain, lambda rig: rig["frames"].update(reference="front"))
        (plain / "top.txt").write_text(
            f"{10**18}\n{10**18 + 10**8}\n{10**18 + 10**8}\n{10**18 + 3 * 10**8}\n"
        )
        _, quarantined = open_sequence(plain).read_sensor("top", 0, 4)
        assert [entry.sample for entry in quarantined] == [2]
        assert "same timestamp" in quarantined[0].reason
        code, said = validate(plain)
        assert code == 0
        assert "warning:" in said
        assert "same timestamp" in said


class TestVideo:
    @pytest.fixture
    def filmed(self, plain: Path) -> Path:
        from ingest.test_video import B_FRAMES, SIZE_PX, write

        write(plain / "front.mkv", 4, options=B_FRAMES)
        model = MODEL.to_dict() | {"width_px": SIZE_PX[0], "height_px": SIZE_PX[1]}
        clock = {"start_ns": 10**18 + 5 * 10**7, "rate_hz": 10}
        edit(plain, lambda rig: rig["cameras"][0].update(data="front.mkv", model=model, clock=clock))
        return plain

    def test_frames_become_pictures(self, filmed: Path) -> None:
        import cv2

        from ingest.test_video import number_of

        assert validate(filmed)[0] == 0
        for encode, mark in (("jpeg", b"\xff\xd8"), ("png", b"\x89P")):
            edit(filmed, lambda rig, encode=encode: rig["cameras"][0].update(encode=encode))
            part, quarantined = open_sequence(filmed).read_sensor("front", 1, 4)
            assert quarantined == []
            for row in range(3):
                data = part.take(row, row + 1).flat["jpeg"]
                assert data.tobytes().startswith(mark)
                assert number_of(cv2.imdecode(data, cv2.IMREAD_COLOR)) == row + 1

    def test_its_own_presentation_times(self, filmed: Path) -> None:
        edit(filmed, lambda rig: rig["cameras"][0].update(clock={"start_ns": 10**18}))
        edit(filmed, lambda rig: rig.update(frames={"reference": "front"}))
        times = open_sequence(filmed).info.frame_timestamp_ns - 10**18
        np.testing.assert_allclose(times, np.arange(4) / 30 * 1e9, atol=1e6)

    def test_counts_that_differ_are_told(self, filmed: Path) -> None:
        (filmed / "front.csv").write_text("timestamp_ns\n1\n2\n3\n")
        edit(
            filmed,
            lambda rig: [rig["cameras"][0].pop("clock"), rig["cameras"][0].update(timestamps="front.csv")],
        )
        with pytest.raises(SourceError, match=r"one time for each of the 4 frames of front.mkv, found 3"):
            open_sequence(filmed)

    def test_a_size_that_differs_is_told(self, filmed: Path) -> None:
        edit(filmed, lambda rig: rig["cameras"][0]["model"].update(width_px=640))
        code, said = validate(filmed)
        assert code == 1
        assert "cameras[0].model: expected 640x64 px, found 128x64 px" in said
        with pytest.raises(SourceError, match="expected 640x64 px, found 128x64 px"):
            open_sequence(filmed)


def front(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda rig: rig["cameras"][0].update(changes)


def top(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda rig: rig["lidars"][0].update(changes)


def place(**changes: object) -> Callable[[dict[str, Any]], object]:
    return front(ego_from_sensor=changes)


MATRIX = [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "version": (lambda rig: rig.update(version=7), r"version: expected 1, found 7"),
    "unknown field": (front(intrinsic=1), r"cameras\[0\].intrinsic: .* found the unknown field intrinsic"),
    "close field": (front(encoed="png"), r"did you mean encode\?"),
    "close distortion": (lambda rig: rig["cameras"][0]["model"].update(width=3), r"did you mean width_px\?"),
    "missing field": (
        lambda rig: rig["lidars"][0].pop("data"),
        r"lidars\[0\].data: expected a value, found nothing",
    ),
    "name a number": (
        front(name=7),
        r"cameras\[0\].name: expected a valid string, found 7; put it in quotes",
    ),
    "bad name": (front(name="a/b"), r"contains a slash"),
    "same names": (front(name="top"), r"sensors of different names, found top twice"),
    "no sensors": (lambda rig: rig.update(cameras=[], lidars=[]), r"at least one sensor"),
    "two clocks": (front(timestamps="top.txt"), r"give either timestamps \(a file\) or clock"),
    "no rate": (front(clock={"start_ns": 5}), r"clock.rate_hz: expected a rate, found only start_ns"),
    "negative focal": (
        lambda rig: rig["cameras"][0]["model"].update(fx_px=-1),
        r"fx_px: expected greater than 0",
    ),
    "unknown model": (lambda rig: rig["cameras"][0]["model"].update(kind="omni"), r"'pinhole', 'fisheye'"),
    "two placements": (place(matrix=MATRIX, q_wxyz=[1, 0, 0, 0]), r"give either matrix, or translation_m"),
    "not rigid": (place(matrix=MATRIX), r"not a rigid 4x4 transform"),
    "zero quaternion": (
        place(translation_m=[0, 0, 0], q_wxyz=[0, 0, 0, 0]),
        r"expected a unit quaternion, found length 0",
    ),
    "no folder": (
        front(data="nowhere"),
        r"nowhere: cameras\[0\].data: expected files .jpg.*found no such folder",
    ),
    "no files": (front(data="top"), r"top: cameras\[0\].data: .*found no such file"),
    "no video": (front(data="a.mp4"), r"a.mp4: cameras\[0\].data: expected a video file, found nothing"),
    "no times": (top(timestamps="none.txt"), r"none.txt is missing"),
    "reference": (
        lambda rig: rig.update(frames={"reference": "side"}),
        r"frames.reference: expected one of front, top",
    ),
    "pose file": (lambda rig: rig.update(poses={"file": "gone.csv"}), r"gone.csv is missing"),
    "pose format": (
        lambda rig: rig.update(poses={"file": "top.txt"}),
        r"poses.format: expected csv, npy or tum",
    ),
    "label camera": (
        lambda rig: rig.update(labels={"boxes2d": {"side": "a.csv"}}),
        r"labels.boxes2d: expected one of front",
    ),
    "label file": (lambda rig: rig.update(labels={"boxes3d": "a.csv"}), r"a.csv: .*No such file"),
    "upwards": (
        front(data="../front"),
        r"cameras\[0\].data: expected a path below the folder, found ../front",
    ),
    "absolute": (top(timestamps="/etc/passwd"), r"expected a path below the folder, found /etc/passwd"),
    "absolute poses": (
        lambda rig: rig.update(poses={"file": "/etc/passwd"}),
        r"poses.file: expected a path below",
    ),
    "columns": (top(columns=["x", "y", "intensity", "_"]), r"0.bin has no column z; it has x, y, intensity"),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_mistake_in_the_description_is_told(plain: Path, name: str) -> None:
    import re

    change, message = WRONG[name]
    edit(plain, change)
    code, said = validate(plain)
    assert code == 1
    assert re.search(message, said), said


def test_all_problems_are_told_at_once(plain: Path) -> None:
    edit(plain, front(data="nowhere", ego_from_sensor={"matrix": MATRIX}))
    (plain / "top/3.bin").write_bytes(b"\0" * 17)
    (plain / "top/1.bin").write_bytes(b"\0" * 15)
    (plain / "poses.tum").write_text("1000000000.0 0 0 0 0 0 0 1\n1000000000.0 0 0 0 0 0 0 1\n")
    code, said = validate(plain)
    assert code == 1
    for expected in ("not a rigid", "nowhere", "3.bin", "1.bin", "ascending times", "4 errors", "5 errors"):
        assert expected in said or expected.endswith("errors"), said
    assert "5 errors" in said


def write(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


DATA: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "too few times": (write("top.txt", "1\n2\n"), 1, r"as many times as files in top/\*.bin \(4\), found 2"),
    "times that are none": (
        write("top.txt", "1\nnoon\n3\n4\n"),
        1,
        r"timestamp_ns, row 1: expected a whole number, found 'noon'",
    ),
    "seconds": (write("top.txt", "1.5\n2.5\n3.5\n4.5\n"), 1, r"write times in whole nanoseconds"),
    "huge times": (write("top.txt", f"1\n2\n3\n{10**30}\n"), 1, r"row 3: expected a whole number"),
    "picture": (
        lambda folder: (folder / "front/img8.jpg").write_bytes(b"\xff\xd8"),
        1,
        r"img8.jpg: cameras\[0\]: expected a whole picture of 192x108 px",
    ),
    "sweep": (lambda folder: (folder / "top/0.bin").write_bytes(b""), 1, r"0.bin is empty"),
    "inner sweep": (
        lambda folder: (folder / "top/1.bin").write_bytes(b"\0" * 15),
        1,
        r"1.bin: lidars\[0\].data: expected rows of 16 bytes, found 15 bytes",
    ),
    "no quaternion order": (write("poses.tum", "1 2 3\n"), 1, r"8 numbers in a row"),
    "pose not unit": (
        write("poses.tum", "1000000000.0 0 0 0 0 0 0 2\n1000000000.4 0 0 0 0 0 0 1\n"),
        0,
        r"unit quaternions, found 1 rows that are not, row 0 of length 2",
    ),
    "poses elsewhere": (
        write("poses.tum", "5.0 0 0 0 0 0 0 1\n6.0 0 0 0 0 0 0 1\n"),
        1,
        r"ego poses for all times of frames .*found 4 of 4 outside",
    ),
    "yaml": (write("rig.yaml", "version: 1\n  name: [\n"), 1, r"expected YAML"),
    "twice": (
        write("rig.yaml", "version: 1\nname: a\nname: b\n"),
        1,
        r"the key 'name' a second time in line 3",
    ),
    "a list": (write("rig.yaml", "- 1\n"), 1, r"expected a valid dictionary"),
    "nothing": (write("rig.yaml", ""), 1, r"expected a valid dictionary"),
    "aliases": (write("rig.yaml", "a: &a [1]\nb: *a\n"), 1, r"an alias \(\*name\)"),
    "bomb": (
        write("rig.yaml", "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*a,*a]\n" for i in range(50))),
        1,
        r"an alias",
    ),
    "deep": (write("rig.yaml", "[" * 2000), 1, r"expected YAML, found too deeply nested"),
    "large": (write("rig.yaml", "# " + "x" * (1 << 20)), 1, r"found more than 1 MiB"),
    "python": (
        write("rig.yaml", "version: !!python/object/apply:os.system ['true']\n"),
        1,
        r"expected YAML, found could not determine a constructor",
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_every_mistake_in_the_files_is_told(plain: Path, name: str) -> None:
    import re

    spoil, expected, message = DATA[name]
    spoil(plain)
    code, said = validate(plain)
    assert code == expected, said
    assert re.search(message, said), said


def test_a_pose_table_without_names_states_no_order(plain: Path) -> None:
    (plain / "p.csv").write_text(f"timestamp_ns,x,y,z,q1,q2,q3,q4\n{10**18},0,0,0,1,0,0,0\n")
    edit(plain, lambda rig: rig.update(poses={"file": "p.csv"}))
    with pytest.raises(SourceError, match=r"a column qw, .*only names state in which order"):
        open_sequence(plain)


@pytest.mark.parametrize("link", ["front/img9.jpg", "top", "poses.tum", "top.txt"])
def test_links_out_of_the_folder_are_refused(plain: Path, link: str) -> None:
    outside = plain.parent / "outside"
    (plain / link).rename(outside)
    (plain / link).symlink_to(outside)
    code, said = validate(plain)
    assert code == 1
    assert "leads out of the folder" in said
    with pytest.raises(SourceError, match="leads out of the folder"):
        open_sequence(plain)


def test_a_listed_file_outside_the_folder_is_refused(drive: Path) -> None:
    table = drive / "lidar/pandar64/samples.csv"
    text = table.read_text()
    for outside in ("../../../secret.npy", "/etc/passwd"):
        table.write_text(text.replace("000002.npy", outside))
        with pytest.raises(SourceError, match=r"file, row 2: expected a file below"):
            open_sequence(drive)
    table.write_text(text)
    (drive.parent / "secret.npy").write_bytes((drive / "lidar/pandar64/000002.npy").read_bytes())
    (drive / "lidar/pandar64/000002.npy").unlink()
    (drive / "lidar/pandar64/000002.npy").symlink_to(drive.parent / "secret.npy")
    part, quarantined = open_sequence(drive).read_sensor("pandar64", 0, 6)
    assert [entry.sample for entry in quarantined] == [2]
    assert part.samples["status"][2] == SampleStatus.QUARANTINED


def test_missing_listed_files_are_told(drive: Path) -> None:
    (drive / "cameras/front_camera/000003.jpg").unlink()
    code, said = validate(drive)
    assert code == 1
    assert "expected the files that it lists, found 1 of 6 missing, the first is 000003.jpg" in said


def test_json_for_machines(plain: Path) -> None:
    from fleetlabel.engine.cli.app import app

    edit(plain, front(encoed="png"))
    result = CliRunner().invoke(app, ["validate", str(plain), "--json"])
    (problem,) = json.loads(result.output)
    assert problem["file"] == "rig.yaml"
    assert problem["field"] == "cameras[0].encoed"
    assert problem["level"] == "error"


def test_the_schema_in_the_repository_is_current() -> None:
    kept = Path(__file__).parents[2] / "engine" / "rig.schema.json"
    assert kept.read_text() == json_schema(), (
        "renew it: python -m fleetlabel.engine.ingest.rig_schema > engine/rig.schema.json"
    )


def test_examples_of_the_document_are_valid() -> None:
    from fleetlabel.engine.ingest.rig_schema import RigEntry

    text = (Path(__file__).parents[2] / "engine" / "rig-format.md").read_text()
    examples = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    whole = [example for example in examples if example.startswith("version:")]
    assert len(whole) == 2
    for example in whole:
        RigEntry.model_validate(yaml.safe_load(example))


def columns_of(
    kind: type[Boxes2D] | type[Boxes3D], n: int, n_frames: int
) -> st.SearchStrategy[dict[str, np.ndarray]]:
    def values(name: str) -> st.SearchStrategy[np.ndarray]:
        dtype, shape = kind.column_spec(name)
        shape = (n, *shape)
        if name == "frame":
            return hnp.arrays(dtype, shape, elements=st.integers(0, n_frames - 1)).map(np.sort)
        if name == "class_id":
            return hnp.arrays(dtype, shape, elements=st.integers(0, 2))
        return hnp.arrays(dtype, shape)

    return st.fixed_dictionaries({name: values(name) for name in kind.column_names()})


@settings(max_examples=30)
@given(st.data())
@pytest.mark.parametrize("kind", [Boxes2D, Boxes3D])
def test_boxes_of_any_values_come_back(
    tmp_path_factory: pytest.TempPathFactory, kind: type[Boxes2D] | type[Boxes3D], data: st.DataObject
) -> None:
    names = ("car", 'odd, "quoted"', "NA")
    boxes = kind.from_columns(names, data.draw(columns_of(kind, data.draw(st.integers(0, 3)), 9)))
    path = tmp_path_factory.getbasetemp() / f"{kind.__name__}.csv"
    write_boxes(path, boxes)
    again = read_boxes(path, kind, names, np.arange(9, dtype=np.int64) * 10**8, "labels")
    for name, column in boxes.columns().items():
        np.testing.assert_array_equal(column, again.columns()[name], name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,class,x1_px,y1_px,x2_px\n", r"the columns x1_px, y1_px, x2_px, y2_px, found no y2_px"),
        ("class,x1_px\n", r"the column frame"),
        ("frame,class,x1_px,y1_px,x2_px,y2_px,colour\n", r"found \['colour'\]"),
        ("frame,class,x1_px,y1_px,x2_px,y2_px\n0,car,1,2,3,wide\n", r"y2_px, row 0: expected a number, found 'wide'"),
        ("frame,class,x1_px,y1_px,x2_px,y2_px\n9,car,1,2,3,4\n", r"frame, row 0: expected frames 0 to 8"),
        ("frame,class,x1_px,y1_px,x2_px,y2_px\n0,cart,1,2,3,4\n", r"class, row 0: expected one of car"),
        ("frame,class,x1_px,y1_px,x2_px,y2_px,occlusion\n0,car,1,2,3,4,500\n", r"expected -128 to 127"),
        ("", r"a table with a header"),
    ],
)  # fmt: skip
def test_broken_labels_are_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_boxes(path, Boxes2D, ("car",), np.arange(9, dtype=np.int64), "labels.boxes2d.front")


@pytest.mark.slow
def test_a_real_drive_comes_back_bit_for_bit(data_dir: Path, tmp_path: Path) -> None:
    source = open_sequence(data_dir / "pandaset_drive")

    class Short(SequenceSource):
        """Three of its frames, which is enough."""

        def __init__(self) -> None:
            import dataclasses

            self.info = dataclasses.replace(
                source.info, frame_timestamp_ns=source.info.frame_timestamp_ns[:3]
            )
            self.warnings = ()

        def read_sensor(self, name: str, start: int, stop: int) -> Any:
            return source.read_sensor(name, start, stop)

        def ground_truth(self) -> None:
            return None

    write_rig(Short(), tmp_path / "rig")
    again = open_sequence(tmp_path / "rig")
    require_same(Short(), again)
    assert len(again.info.of_kind(SensorKind.CAMERA)) == 6
