"""Bad input, full disks and sudden death: a clear message, the right exit code, nothing lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetlabel.store import SequenceStore, describe, verify

Cli = Callable[..., tuple[int, str, str]]


def finished_labels(store: Path) -> int:
    """Boxes of the machine's label version."""
    opened = SequenceStore.open(store)
    version = opened.latest_labels()
    assert version.name != "ground_truth"
    return len(opened.labels3d(version.name))


def test_broken_files_are_set_aside_and_the_rest_is_labelled(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    picture = drive / "camera" / "front_camera" / "03.jpg"
    picture.write_bytes(picture.read_bytes()[:500])
    (drive / "lidar" / "05.pkl.gz").write_bytes(b"")
    (drive / "lidar" / "06.pkl.gz").unlink()
    out = tmp_path / "drive.zarr"
    run = ("run", drive, "--model", bright_model, "--out", out)
    code, _, errors = fleetlabel(*run)
    assert code == 3
    assert "Traceback" not in errors
    assert "03.jpg" in errors
    assert "05.pkl.gz" in errors
    store = SequenceStore.open(out)
    assert store.camera("front_camera").jpeg(3) == picture.read_bytes(), (
        "even a broken picture's bytes are kept"
    )
    assert finished_labels(out)
    assert verify(store) == []
    assert fleetlabel(*run, "--resume")[0] == 3, "what was set aside earlier still counts"


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "empty.onnx", "zero bytes"),
        (b"this is no model" * 100, "text.onnx", "text.onnx"),
        (b"this is no model" * 100, "text.pt", "text.pt"),
        (b"this is no model" * 100, "weights.zip", "weights.zip"),
        (None, "missing.onnx", "there is no such model file"),
    ],
)
def test_a_model_that_is_none_is_named(
    fleetlabel: Cli, drive: Path, tmp_path: Path, content: bytes | None, name: str, said: str
) -> None:
    model = tmp_path / name
    if content is not None:
        model.write_bytes(content)
    code, _, errors = fleetlabel("run", drive, "--model", model, "--out", tmp_path / "drive.zarr")
    assert code == 1
    assert said in errors
    assert "Traceback" not in errors


def test_unknown_classes_are_kept_under_their_names_and_reported(
    fleetlabel: Cli, drive: Path, tmp_path: Path, detector_writer: Callable[..., Path]
) -> None:
    model = detector_writer(tmp_path / "odd.onnx", ("hovercraft", "person"))
    code, _, errors = fleetlabel("run", drive, "--model", model, "--out", tmp_path / "drive.zarr")
    assert code == 0
    assert "hovercraft" in errors
    store = SequenceStore.open(tmp_path / "drive.zarr")
    assert "hovercraft" in store.latest_labels().class_names


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_says_so_and_the_run_goes_on_once_there_is_room(
    fleetlabel: Cli, drive: Path, bright_model: Path, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2_200_000))
    run = ("run", drive, "--model", bright_model, "--out", small_disk / "drive.zarr", "--chunk-frames", 2)
    code, _, errors = fleetlabel(*run)
    assert code == 1
    assert "disk is full" in errors
    assert "--resume" in errors
    subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
    filler.unlink()
    resumable = (small_disk / "drive.zarr").exists()
    assert fleetlabel(*run, *(["--resume"] if resumable else []))[0] == 0
    assert verify(SequenceStore.open(small_disk / "drive.zarr")) == []


def test_a_read_only_output_says_so(fleetlabel: Cli, drive: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, _, errors = fleetlabel("ingest", drive, "--out", small_disk / "drive.zarr")
    assert code == 1
    assert "read-only" in errors


def test_a_second_driver_is_refused(fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "drive.zarr"
    fleetlabel("ingest", drive, "--out", out)
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, time; from pathlib import Path; from fleetlabel.store import SequenceStore\n"
            "with SequenceStore.open(Path(sys.argv[1])).writer_lock(): print('held', flush=True); time.sleep(60)",
            str(out),
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        code, _, errors = fleetlabel("prelabel", out, "--model", bright_model)
        assert code == 1
        assert str(holder.pid) in errors
    finally:
        holder.kill()
        holder.wait()
    assert fleetlabel("prelabel", out, "--model", bright_model)[0] == 0


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_at_any_moment_and_resumed_the_content_is_the_same_and_nothing_is_done_twice(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path, kills: int
) -> None:
    arguments = ["run", str(drive), "--model", str(bright_model), "--chunk-frames", "2"]
    begun = time.perf_counter()
    subprocess.run(
        _command([*arguments, "--out", str(tmp_path / "whole.zarr")]), check=True, capture_output=True
    )
    whole_s = time.perf_counter() - begun
    out = tmp_path / "killed.zarr"
    moments = random.Random(0)
    committed: dict[Path, int] = {}
    for _ in range(kills):
        process = subprocess.Popen(
            _command([*arguments, "--out", str(out), "--resume"]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0.1 * whole_s, 0.9 * whole_s))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert committed.items() <= _commits(out).items(), "a committed part was written again, or lost"
        committed = _commits(out)
    assert fleetlabel(*arguments, "--out", out, "--resume")[0] == 0
    assert committed.items() <= _commits(out).items()
    assert not list(out.rglob(".pending-*")), "what the dead left behind is gone"
    assert verify(SequenceStore.open(out)) == []
    hashes = [describe(SequenceStore.open(store)).content_hash for store in (out, tmp_path / "whole.zarr")]
    assert hashes[0] == hashes[1]


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "fleetlabel.engine.cli", *arguments]


def _commits(store: Path) -> dict[Path, int]:
    """Commit records and when they were made."""
    records = (
        [path for path in store.rglob("zarr.json") if path.parent.name[:8].isdigit()]
        if store.exists()
        else []
    )
    return {path: path.stat().st_mtime_ns for path in records}
