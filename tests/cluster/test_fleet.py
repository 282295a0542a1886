"""Fleets on threads: same labels whatever cuts them, failures told exactly, resuming, status, the command line."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.fleets import Fleet, Told, hashes
from fleetlabel.engine.cli.app import main
from fleetlabel.engine.fleet.failures import cause_of
from fleetlabel.engine.fleet.root import Ended, FleetRoot
from fleetlabel.engine.fleet.run import FleetOutcome
from fleetlabel.engine.fleet.status import look
from fleetlabel.engine.pipeline import ingesting
from fleetlabel.model.errors import (
    InterruptedRunError,
    StoreError,
    StoreExistsError,
    StoreWriteError,
    UsageError,
)
from fleetlabel.store import SequenceStore, Table, verify
from store.drives import drive

RunFleet = Callable[..., FleetOutcome]


def test_labels_do_not_depend_on_chunks_or_threads_and_progress_is_told(
    run: RunFleet, small_fleet: Fleet, expected: dict[str, str], tmp_path: Path
) -> None:
    told = Told()
    outcome = run(small_fleet, fleet__threads=True, chunk_frames=2, observer=told)
    assert hashes(tmp_path / "out") == expected
    assert (outcome.done, outcome.frames, outcome.failures) == (3, 18, ())
    assert (told.begun_with.sequences, told.begun_with.frames, told.begun_with.pictures) == (3, 18, 18)
    size = sum(file.stat().st_size for file in small_fleet[0].rglob("*") if file.is_file())
    assert 0.5 * size < told.begun_with.n_bytes <= size
    assert told.turns[-1]["state"] == "finished"
    shown = [turn["frames"] for turn in told.turns]
    assert shown == sorted(shown), "progress never goes back"
    assert shown[-1] == 18

    seen = look(tmp_path / "out")
    assert (seen.state, seen.driver, seen.done, seen.failed, seen.waiting) == ("finished", None, 3, 0, 0)

    with pytest.raises(StoreExistsError, match="--resume"):
        run(small_fleet, fleet__threads=True)
    again = run(small_fleet, fleet__threads=True, existing="resume", chunk_frames=3)
    assert set(again.stages) == {"open", "plan", "close"}, "nothing is done twice"
    assert hashes(tmp_path / "out") == expected


def poison(fleet: Fleet, folder: Path) -> Fleet:
    """A copy of a fleet of which one drive cannot be opened and one whose ego poses cannot be read."""
    kitti = folder / "kitti"
    shutil.copytree(fleet[0], kitti)
    (kitti / "calib" / "0000.txt").write_text("P2: what is this\n")
    (kitti / "ego_pose" / "0001.json").write_text("[[1, 2")
    return kitti, fleet[1]


def test_what_fails_fails_alone_and_is_listed_for_another_try(
    run: RunFleet, small_fleet: Fleet, expected: dict[str, str], tmp_path: Path
) -> None:
    poisoned = poison(small_fleet, tmp_path)
    outcome = run(poisoned, fleet__threads=True)
    assert hashes(tmp_path / "out") == {"kitti-0002": expected["kitti-0002"]}
    assert sorted(name for group in outcome.failures for name in group.names) == ["kitti-0000", "kitti-0001"]
    by_name = {group.names[0]: group.example for group in outcome.failures}
    assert "0000.txt" in by_name["kitti-0000"]
    assert "0001.json" in by_name["kitti-0001"]
    assert outcome.failed_list is not None
    assert [entry["sequence"] for entry in json.loads(outcome.failed_list.read_text())] == ["0000", "0001"]
    seen = look(tmp_path / "out")
    assert (seen.done, seen.failed) == (1, 2)

    shutil.copy(small_fleet[0] / "calib" / "0000.txt", poisoned[0] / "calib")
    shutil.copy(small_fleet[0] / "ego_pose" / "0001.json", poisoned[0] / "ego_pose")
    outcome = run((outcome.failed_list, poisoned[1]), fleet__threads=True, existing="resume")
    assert (outcome.sequences, outcome.done, outcome.failures) == (2, 2, ())
    assert hashes(tmp_path / "out") == expected, "names are those of the first call"


def test_hiccups_are_tried_again_and_others_are_not(
    run: RunFleet,
    small_fleet: Fleet,
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, calls = Table.write, {"kitti-0000": 0, "kitti-0001": 0}

    def failing(table: Table, start: int, *arguments: Any, **options: Any) -> Any:
        root = str(table._folder)
        for name, number in (("kitti-0000", errno.ESTALE), ("kitti-0001", errno.EINVAL)):
            if name in root and "sensors/image_02" in root:
                calls[name] += 1
                if calls[name] <= 2:
                    raise OSError(number, os.strerror(number), root)
        return write(table, start, *arguments, **options)

    monkeypatch.setattr(Table, "write", failing)
    outcome = run(small_fleet, fleet__threads=True)
    assert calls == {"kitti-0000": 3, "kitti-0001": 1}
    assert [group.names for group in outcome.failures] == [("kitti-0001",)]
    assert "ingest of image_02, frames 0..6: OSError" in outcome.failures[0].example
    assert set(hashes(tmp_path / "out")) == {"kitti-0000", "kitti-0002"}


def test_a_full_disk_stops_the_fleet_instead_of_failing_drive_after_drive(
    run: RunFleet, small_fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise StoreWriteError("cannot write x: the disk is full; free some space") from error

    monkeypatch.setattr(ingesting, "_ingest", full)
    with pytest.raises(StoreWriteError, match=r"the disk is full.*3 drives in a row"):
        run(small_fleet, fleet__threads=True)
    assert look(tmp_path / "out").state == "failed"


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_running_and_the_fleet_goes_on(
    run: RunFleet, small_fleet: Fleet, expected: dict[str, str], tmp_path: Path
) -> None:
    def interrupt(ended: Ended) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="--resume"):
        run(small_fleet, fleet__threads=True, observer=Told(interrupt))
    seen = look(tmp_path / "out")
    assert seen.state == "stopped"
    assert 1 <= seen.done < 3
    run(small_fleet, fleet__threads=True, existing="resume")
    assert hashes(tmp_path / "out") == expected


@pytest.mark.slow
def test_a_store_that_somebody_drives_alone_is_left_alone(
    run: RunFleet, small_fleet: Fleet, tmp_path: Path
) -> None:
    run(small_fleet, fleet__threads=True)
    with SequenceStore.open(tmp_path / "out" / "kitti-0001.zarr").writer_lock():
        outcome = run(small_fleet, fleet__threads=True, existing="resume")
    assert [group.names for group in outcome.failures] == [("kitti-0001",)]
    assert "is being written by another process" in outcome.failures[0].example


def test_output_that_cannot_be_is_refused_at_once(run: RunFleet, small_fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        run(small_fleet, "file/out", fleet__threads=True)
    store = SequenceStore.create(tmp_path / "a.zarr", drive())
    with pytest.raises(UsageError, match="is the store of one drive"):
        run(small_fleet, store.root.name, fleet__threads=True)
    assert verify(store) == []
    with pytest.raises(UsageError, match="lies in the drive log"):
        run(small_fleet, str(small_fleet[0] / "out"), fleet__threads=True)


def test_causes_are_the_same_for_the_same_reason() -> None:
    first = cause_of("/data/a/0001/07.jpg: frame 7 has 3 values, expected 4")
    second = cause_of("/data/b/0002/18.jpg: frame 18 has 2 values, expected 4")
    assert first == second
    assert first != cause_of("/data/a: no poses")


@pytest.fixture
def fleetlabel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fleetlabel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_status_says_when_a_driver_on_another_host_was_last_heard_of(
    tmp_path: Path, fleetlabel: Callable[..., tuple[int, str, str]]
) -> None:
    root = FleetRoot(tmp_path)
    root.prepare()
    root.enlist([])
    (root.state / "lease-000001.json").write_text(
        '{"host": "elsewhere", "pid": 5, "started": "another boot", "beat": 3, "released": false}'
    )
    for silent_s, said in ((3600.0, ", last heard of 1 h 00 min ago\n"), (1.0, "\n")):
        root.note_progress({"state": "running", "updated_ns": time.time_ns() - int(silent_s * 1e9)})
        assert f"running by process 5 on elsewhere{said}" in fleetlabel("status", tmp_path)[1]


def test_the_command_line_tells_failures_by_cause_and_how_to_try_again(
    small_fleet: Fleet, tmp_path: Path, fleetlabel: Callable[..., tuple[int, str, str]]
) -> None:
    kitti, found = poison(small_fleet, tmp_path)
    out = tmp_path / "out"
    code, printed, errors = fleetlabel("run", kitti, "--detections2d", found, "--out", out, "--threads")
    assert code == 1
    assert "3 sequences, about 18 frames" in errors
    assert "1 of 3 sequences" in printed
    assert (
        f"fleetlabel run @{out}/.fleet/failed.yaml --detections2d {found} --out {out} --threads --resume"
        in printed
    )
    code, printed, _ = fleetlabel("status", out)
    assert code == 0
    assert "3 sequences: 1 done, 0 begun, 0 waiting, 2 failed" in printed
    code, printed, _ = fleetlabel("status", out, "--json")
    assert json.loads(printed)["failed"] == 2
    assert fleetlabel("status", tmp_path)[0] == 2
