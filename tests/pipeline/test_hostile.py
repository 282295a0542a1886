"""The command line in clumsy and hostile hands: every outcome is a message, an exit code, and a store that is whole."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetlabel.engine.ingest.testing import Scene, write_kitti
from fleetlabel.store import SampleStatus, SequenceStore, describe, verify

Cli = Callable[..., tuple[int, str, str]]
SMALL = Scene(n_frames=4, n_objects=3)


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    write_kitti(tmp_path / "kitti", SMALL)
    return tmp_path / "kitti"


@pytest.fixture(scope="session")
def labelled_once(tmp_path_factory: pytest.TempPathFactory, bright_model: Path) -> Path:
    """A finished store, not to be touched."""
    folder = tmp_path_factory.mktemp("labelled")
    write_kitti(folder / "kitti", SMALL)
    arguments = [
        "run",
        str(folder / "kitti"),
        "--model",
        str(bright_model),
        "--out",
        str(folder / "drive.zarr"),
    ]
    subprocess.run(_command(arguments), check=True, capture_output=True)
    return folder / "drive.zarr"


@pytest.fixture
def labelled(labelled_once: Path, tmp_path: Path) -> Path:
    """A finished store to do things to."""
    shutil.copytree(labelled_once, tmp_path / "labelled.zarr")
    return tmp_path / "labelled.zarr"


def detections(folder: Path, sequence: str = "0000") -> Path:
    """Folders ``2d`` and ``3d`` of another detector."""
    (folder / "2d" / "Car").mkdir(parents=True)
    (folder / "3d").mkdir()
    boxes = "".join(f"{frame},{10 + frame},10,{40 + frame},40,0.9\n" for frame in range(4))
    (folder / "2d" / "Car" / f"{sequence}.txt").write_text(boxes)
    cuboids = "".join(f"{frame},2,10,10,40,40,8.5,1.6,1.9,4.4,1,1.5,15,0.1,0\n" for frame in range(4))
    (folder / "3d" / f"{sequence}.txt").write_text(cuboids)
    return folder


def committed(store: Path) -> int:
    """Samples of all tables."""
    return sum(table.committed for table in describe(SequenceStore.open(store)).tables)


class _RunsCode:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("pwned",)


def test_labels_that_cannot_be_read_are_set_aside_and_said_so(
    fleetlabel: Cli, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = drive / "annotations" / "cuboids" / "03.pkl.gz"
    evil.write_bytes(gzip.compress(pickle.dumps(_RunsCode())))
    code, out, errors = fleetlabel("ingest", drive, "--out", "drive.zarr", "--json")
    assert code == 3
    assert "03.pkl.gz" in errors
    assert "refused" in errors
    assert not Path("pwned").exists()
    assert {entry["table"] for entry in json.loads(out)["quarantined"]} == {"labels/ground_truth"}
    assert verify(SequenceStore.open(Path("drive.zarr"))) == []


def test_frames_without_data_are_counted(fleetlabel: Cli, kitti: Path, tmp_path: Path) -> None:
    (kitti / "velodyne" / "0000" / "000002.bin").unlink()
    code, _, errors = fleetlabel("ingest", kitti, "--out", tmp_path / "drive.zarr")
    assert code == 0, "a gap is no failure"
    assert "velodyne: no data in 1 of 4 frames, first in frame 2" in errors


def test_lidar_alone_has_no_boxes_and_says_so(fleetlabel: Cli, bright_model: Path, tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti", SMALL, pictures=False)
    out = tmp_path / "drive.zarr"
    code, _, errors = fleetlabel("run", tmp_path / "kitti", "--model", bright_model, "--out", out)
    assert code == 0
    assert "image_02: no data in 4 of 4 frames" in errors
    assert verify(SequenceStore.open(out)) == []


def test_cameras_alone_are_tracked_in_pictures(fleetlabel: Cli, bright_model: Path, tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti", SMALL, velodyne=False)
    out = tmp_path / "drive.zarr"
    code, _, errors = fleetlabel("run", tmp_path / "kitti", "--model", bright_model, "--out", out)
    assert code == 0
    assert "no lidar" in errors
    store = SequenceStore.open(out)
    assert len(store.labels2d(store.latest_labels().name, "image_02"))


def test_a_drive_without_cameras_says_so(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    shutil.rmtree(drive / "camera")
    (drive / "camera").mkdir()
    code, _, errors = fleetlabel("run", drive, "--model", bright_model, "--out", tmp_path / "drive.zarr")
    assert code == 0
    assert "no camera" in errors


def test_a_png_with_damage_within_is_set_aside_by_the_detector(
    fleetlabel: Cli, kitti: Path, bright_model: Path, tmp_path: Path
) -> None:
    picture = kitti / "image_02" / "0000" / "000001.png"
    content = bytearray(picture.read_bytes())
    content[len(content) // 2] ^= 0xFF
    picture.write_bytes(content)
    out = tmp_path / "drive.zarr"
    code, _, errors = fleetlabel("run", kitti, "--model", bright_model, "--out", out)
    assert code == 3
    assert "image_02, frame 1" in errors
    store = SequenceStore.open(out)
    assert store.camera("image_02").jpeg(1) == bytes(content)
    assert len(store.labels2d(store.latest_labels().name, "image_02"))


def test_intrinsics_that_cannot_be_are_named(fleetlabel: Cli, drive: Path, tmp_path: Path) -> None:
    path = drive / "camera" / "front_camera" / "intrinsics.json"
    path.write_text('{"fx": 0, "fy": NaN, "cx": 1, "cy": 1}')
    code, _, errors = fleetlabel("ingest", drive, "--out", tmp_path / "drive.zarr")
    assert code == 1
    assert str(path) in errors


@pytest.mark.parametrize("name", ["a/b", "../up", "..", "", "ground_truth", "x" * 300, "a\nb"])
def test_names_of_labels_are_judged_before_the_work(
    fleetlabel: Cli, kitti: Path, bright_model: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "drive.zarr"
    code, _, errors = fleetlabel("run", kitti, "--model", bright_model, "--out", out, f"--labels={name}")
    assert code == 2
    assert "choose another" in errors
    assert not out.exists()


def test_a_taken_name_of_labels_is_refused_before_the_work(
    fleetlabel: Cli, labelled: Path, tmp_path: Path
) -> None:
    assert fleetlabel("track", labelled, "--labels", "mine")[0] == 0
    assert fleetlabel("track", labelled, "--labels", "mine")[0] == 0, "the same again is nothing to do"
    settings = tmp_path / "run.yaml"
    settings.write_text("track:\n  tracker3d:\n    birth_score: 0.9\n")
    before = committed(labelled)
    code, _, errors = fleetlabel("track", labelled, "--labels", "mine", "--config", settings)
    assert code == 1
    assert "already has labels named 'mine'" in errors
    assert committed(labelled) == before


def test_nothing_is_written_into_a_drive_or_another_store(
    fleetlabel: Cli, kitti: Path, labelled: Path
) -> None:
    before = sorted(kitti.rglob("*"))
    for out, said in (
        (kitti, "drive log"),
        (kitti / "x.zarr", "drive log"),
        (labelled / "x.zarr", "another store"),
        (labelled / "runs" / "x.zarr", "another store"),
    ):
        code, _, errors = fleetlabel("ingest", kitti, "--out", out)
        assert code == 2
        assert said in errors
    assert sorted(kitti.rglob("*")) == before
    assert verify(SequenceStore.open(labelled)) == []


def test_overwrite_deletes_stores_only(fleetlabel: Cli, kitti: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for out in (tmp_path / "mine", tmp_path / "mine" / "thesis.tex", Path("/")):
        code, _, errors = fleetlabel("ingest", kitti, "--out", out, "--overwrite")
        assert code == 1
        assert "not a FleetLabel store" in errors
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_store_is_no_drive(fleetlabel: Cli, labelled: Path, tmp_path: Path) -> None:
    code, _, errors = fleetlabel("ingest", labelled, "--out", tmp_path / "drive.zarr")
    assert code == 1
    assert "is a store that FleetLabel made" in errors


def test_a_store_of_another_drive_is_not_resumed(fleetlabel: Cli, labelled: Path, drive: Path) -> None:
    code, _, errors = fleetlabel("ingest", drive, "--out", labelled, "--resume")
    assert code == 2
    assert "was not made from" in errors
    assert verify(SequenceStore.open(labelled)) == []


def test_a_linked_store_is_read_and_resumed_but_not_overwritten(
    fleetlabel: Cli, labelled: Path, kitti: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.zarr"
    link.symlink_to(labelled)
    assert fleetlabel("info", link)[0] == fleetlabel("verify", link)[0] == 0
    assert fleetlabel("ingest", kitti, "--out", link, "--resume")[0] == 0
    assert fleetlabel("ingest", kitti, "--out", link, "--overwrite")[0] == 1
    assert verify(SequenceStore.open(labelled)) == []


def test_a_model_that_is_missing_leaves_no_store(fleetlabel: Cli, kitti: Path, tmp_path: Path) -> None:
    out = tmp_path / "drive.zarr"
    assert fleetlabel("run", kitti, "--model", tmp_path / "nowhere.onnx", "--out", out)[0] == 1
    assert not out.exists()


@pytest.mark.parametrize("which", ["source", "model", "out"])
def test_paths_that_are_too_long_are_an_error_of_ours(
    fleetlabel: Cli, kitti: Path, bright_model: Path, tmp_path: Path, which: str
) -> None:
    paths = {"source": kitti, "model": bright_model, "out": tmp_path / "drive.zarr"}
    paths[which] = tmp_path / ("x" * 300 + paths[which].suffix)
    code, _, errors = fleetlabel("run", paths["source"], "--model", paths["model"], "--out", paths["out"])
    assert code == 1
    assert "too long" in errors


def test_paths_may_hold_what_terminals_and_markup_take_for_commands(
    fleetlabel: Cli, kitti: Path, bright_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "[bold]sp ace %s {0} päth 日本"
    shutil.copytree(kitti, folder / "dr [x]")
    shutil.copy(bright_model, folder / "m [y].onnx")
    out = folder / "o [z].zarr"
    code, said, _ = fleetlabel("run", folder / "dr [x]", "--model", folder / "m [y].onnx", "--out", out)
    assert code == 0
    assert str(out) in said
    for command in (("info",), ("verify",), ("eval",), ("render", "--out", folder / "f [q].png")):
        assert fleetlabel(command[0], out, *command[1:])[0] == 0
    code, _, errors = fleetlabel("info", folder / "[red]no.zarr")
    assert code == 1
    assert str(folder / "[red]no.zarr") in errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n- 2", "holds a list"),
        ("workers: many", "workers"),
        ("wrokers: 2", "unknown setting wrokers"),
        ("detect:\n  coonf: 1", "unknown setting coonf"),
        ("detect:", "detect holds None"),
        ("a: [1, 2", "cannot read the configuration"),
        ("!!python/object/apply:os.mkdir [pwned]", "cannot read the configuration"),
        ("\x00", "cannot read the configuration"),
        ("existing: maybe", "existing"),
    ],
)
def test_odd_configurations_are_usage_errors(
    fleetlabel: Cli, kitti: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "run [x].yaml"
    settings.write_text(text)
    code, _, errors = fleetlabel("ingest", kitti, "--out", "drive.zarr", "--config", settings)
    assert code == 2
    assert said in errors
    assert str(settings) in errors
    assert not Path("pwned").exists()
    assert not Path("drive.zarr").exists()


def test_boxes_of_another_detector(fleetlabel: Cli, kitti: Path, tmp_path: Path) -> None:
    found = detections(tmp_path / "found")
    run = ("run", kitti, "--out", tmp_path / "drive.zarr")
    code, _, errors = fleetlabel(*run, "--detections2d", found / "2d", "--detections3d", found / "3d")
    assert code == 0, errors
    store = SequenceStore.open(tmp_path / "drive.zarr")
    assert len(store.labels3d(store.latest_labels().name))
    assert verify(store) == []


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_boxes_of_another_detector_that_do_not_fit(
    fleetlabel: Cli, kitti: Path, bright_model: Path, tmp_path: Path, kind: str
) -> None:
    found = detections(tmp_path / "found", sequence="0007")
    file = next(found.joinpath(kind).rglob("0007.txt"))
    (tmp_path / "empty").mkdir()
    run = ("run", kitti, "--model", bright_model, "--out", tmp_path / "drive.zarr", "--resume")
    for path, said in (
        (found / kind, "no detections of sequence 0000"),
        (tmp_path / "empty", "no detections of sequence 0000"),
        (tmp_path / "nowhere", "does not exist"),
    ):
        code, _, errors = fleetlabel(*run, f"--detections{kind}", path)
        assert code == 1
        assert said in errors
    row = file.read_text().splitlines()[0].split(",")
    for column, value, said in (
        (1, "x", "could not convert"),
        (2, "nan", "column 3 is nan"),
        (0, "99", "frame 99"),
    ):
        file.write_text(",".join([*row[:column], value, *row[column + 1 :]]))
        code, _, errors = fleetlabel(*run, f"--detections{kind}", file)
        assert code == 1
        assert said in errors
        assert str(file) in errors


def test_kitti_boxes_for_another_format_are_refused(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    found = detections(tmp_path / "found")
    run = ("run", drive, "--model", bright_model, "--out", tmp_path / "drive.zarr", "--resume")
    for kind in ("2d", "3d"):
        code, _, errors = fleetlabel(*run, f"--detections{kind}", found / kind)
        assert code == 2
        assert "of this drive" in errors or "of another drive" in errors


def test_labels_are_not_measured_against_themselves(fleetlabel: Cli, kitti: Path, tmp_path: Path) -> None:
    fleetlabel("ingest", kitti, "--out", tmp_path / "drive.zarr")
    code, _, errors = fleetlabel("eval", tmp_path / "drive.zarr")
    assert code == 1
    assert "no labels but its ground truth" in errors


def test_json_is_one_document_and_nothing_else(
    fleetlabel: Cli, kitti: Path, bright_model: Path, tmp_path: Path
) -> None:
    (kitti / "velodyne" / "0000" / "000002.bin").write_bytes(b"")
    out = tmp_path / "drive.zarr"
    model = ("--model", bright_model)
    commands: list[tuple[object, ...]] = [
        ("ingest", kitti, "--out", out),
        ("prelabel", out, *model),
        ("lift", out),
        ("track", out),
        ("run", kitti, "--out", out, *model, "--resume"),
        ("info", out),
        ("verify", out),
        ("eval", out),
    ]
    for command in commands:
        code, said, _ = fleetlabel(*command, "--json")
        assert code in (0, 3)
        json.loads(said)


def test_help_tells_defaults(fleetlabel: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "one per core" in fleetlabel("run", "--help")[1]
    assert "the newest" in fleetlabel("eval", "--help")[1]


def test_info_in_a_pipe_is_not_folded(fleetlabel: Cli, labelled: Path) -> None:
    said = fleetlabel("info", labelled)[1].splitlines()
    assert sum("sensors/image_02" in line for line in said) == 1
    assert any(line.strip().startswith("labels/auto-") and "boxes2d/image_02 " in line for line in said)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_stops_the_run_with_a_word_and_resume_goes_on(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "drive.zarr"
    arguments = ("run", drive, "--model", bright_model, "--out", out, "--chunk-frames", "1", "--resume")
    process = subprocess.Popen(_command(list(map(str, arguments))), stderr=subprocess.PIPE, text=True)
    while not (out / "sensors" / "front_camera").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    errors = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert str(out) in errors
    assert "--resume" in errors
    assert verify(SequenceStore.open(out)) == []
    assert fleetlabel(*arguments)[0] == 0
    store = SequenceStore.open(out)
    assert verify(store) == []
    assert (store.sensor_table("front_camera").read().samples["status"] == SampleStatus.OK).all()


@pytest.fixture
def read_only(labelled: Path) -> Iterator[Path]:
    folder = labelled.parent / "read only"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "--bind", "-o", "ro", str(labelled), str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_store_can_be_looked_at(fleetlabel: Cli, read_only: Path, tmp_path: Path) -> None:
    for command in ("info", "verify", "eval"):
        assert fleetlabel(command, read_only)[0] == 0
    assert fleetlabel("render", read_only, "--out", tmp_path / "x.png")[0] == 0
    assert fleetlabel("export", read_only, "--out", tmp_path / "labels")[0] == 0
    code, _, errors = fleetlabel("track", read_only)
    assert code == 1
    assert "read-only" in errors


def test_a_full_pipe_or_disk_under_stdout_is_no_traceback(labelled_once: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            _command(["info", str(labelled_once)]),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert "No space left" in ended.stderr


def test_no_maker_of_a_library_is_told_what_runs(kitti: Path, bright_model: Path, tmp_path: Path) -> None:
    """ONNX Runtime leaves a device id in the home folder where it reports."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    arguments = ["run", str(kitti), "--model", str(bright_model), "--out", str(tmp_path / "drive.zarr")]
    subprocess.run(
        _command([*arguments, "--backend", "onnxruntime"]), env=environment, check=True, capture_output=True
    )
    assert {entry.name for entry in (home / ".cache").iterdir()} <= {"fleetlabel"}


def test_two_runs_at_once_end_in_one_whole_store(drive: Path, bright_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "drive.zarr"
    command = _command(["run", str(drive), "--model", str(bright_model), "--out", str(out)])
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert not any("Traceback" in text for text in errors)
    assert verify(SequenceStore.open(out)) == []


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "fleetlabel.engine.cli", *arguments]
