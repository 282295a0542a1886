"""Whole runs with drive logs and stores on object storage: the same labels as in local folders, whatever breaks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cluster.fleets import Fleet, Told, hashes, write_fleet
from fleetlabel.engine.cli.app import main
from fleetlabel.engine.fleet.estimate import Estimate
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.fleet.sources import find_drives
from fleetlabel.engine.fleet.status import look
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.rig_writer import write_rig
from fleetlabel.engine.pipeline.config import Existing, load_config
from fleetlabel.model.errors import StoreError, UsageError
from fleetlabel.store import SequenceStore, describe, durable, lease, verify
from fleetlabel.store.lease import Lease
from fleetlabel.store.object_path import ObjectPath
from store.faulty_proxy import FaultyProxy

pytestmark = pytest.mark.slow
FAULTS = {"error": 0.015, "throttled": 0.015, "cut": 0.015, "lost": 0.015}


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def called(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fleetlabel", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return called


@pytest.fixture(scope="session")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two short drives, and another detector's boxes."""
    return write_fleet(tmp_path_factory.mktemp("drives"), 2, n_frames=2)


@pytest.fixture(scope="session")
def expected(drives: Fleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Content hashes of their local stores."""
    root = tmp_path_factory.mktemp("local") / "out"
    run(drives[0], root, drives)
    return hashes(root)


def run(source: Path, out: Path, drives: Fleet, existing: Existing = Existing.REFUSE) -> Estimate:
    flags = {"out": out, "detections2d": drives[1], "fleet.threads": True, "workers": 2, "existing": existing}
    told = Told()
    outcome = run_fleet([source], load_config(None, flags), observer=told)
    assert outcome.failures == ()
    return told.begun_with


def test_a_fleet_comes_from_a_bucket_and_goes_into_it(
    bucket: Path,
    proxy: FaultyProxy,
    drives: Fleet,
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Call,
) -> None:
    monkeypatch.setenv("FLEETLABEL_SCRATCH", str(tmp_path / "scratch"))
    assert isinstance(bucket, ObjectPath)
    durable.upload(drives[0], bucket / "logs/kitti")
    proxy.chances = FAULTS
    root = bucket / "fleet"
    estimated = run(bucket / "logs", root, drives)
    assert (estimated.sequences, estimated.pictures) == (2, 4), "told without copying drives"
    happened = dict(proxy.happened)
    proxy.chances = {}
    assert happened.keys() == FAULTS.keys()
    assert hashes(root) == expected
    assert sorted(path.name for path in root.iterdir()) == [
        ".fleet",
        *(f"{name}.zarr" for name in sorted(expected)),
    ]
    for name in expected:
        assert verify(SequenceStore.open(root / f"{name}.zarr")) == []
    seen = look(root)
    assert (seen.state, seen.done, seen.failed, seen.driver) == ("finished", 2, 0, None)
    assert f"{root}: finished" in call("status", root)[1]

    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    with Lease(root / ".fleet"), pytest.raises(StoreError, match=f"{root} is being driven by process"):
        run(bucket / "logs", root, drives, Existing.RESUME)
    with pytest.raises(UsageError, match="matches no folder"):
        run(bucket / "nothing-*", root, drives)


def test_rig_folders_come_from_a_bucket(
    bucket: Path, drives: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETLABEL_SCRATCH", str(tmp_path / "scratch"))
    write_rig(open_sequence(drives[0], "0000"), tmp_path / "rigs" / "first")
    assert isinstance(bucket, ObjectPath)
    durable.upload(tmp_path / "rigs", bucket / "rigs")
    (drive,) = find_drives([bucket / "rigs"])
    assert (drive.source, drive.sequence) == (bucket / "rigs/first", "0000")
    remote, local = (
        open_sequence(place, "0000").read_sensor("image_02", 0, 2)[0]
        for place in (drive.source, tmp_path / "rigs" / "first")
    )
    np.testing.assert_array_equal(remote.flat["jpeg"], local.flat["jpeg"])


def test_every_command_works_on_a_bucket(
    bucket: Path,
    drives: Fleet,
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Call,
) -> None:
    monkeypatch.chdir(tmp_path)
    store = bucket / "drive.zarr"
    asked = [drives[0], "--sequence", "0000", "--detections2d", drives[1], "--out", store]
    assert call("run", *asked, "--workers", 2)[0] == 0
    (content_hash,) = [value for name, value in expected.items() if name.endswith("0000")]
    assert json.loads(call("info", store, "--json")[1])["content_hash"] == content_hash
    assert json.loads(call("verify", store, "--json")[1])["problems"] == []
    code, printed, _ = call("eval", store, "--json")
    assert (code, json.loads(printed) != {}) == (0, True)
    assert call("export", store, "--out", "exported")[0] == 0
    assert any(Path("exported").rglob("*.txt"))
    assert call("report", store)[1].strip() == "drive.html"
    code, _, complaint = call("run", *asked)
    assert code != 0
    assert f"{store} already exists" in complaint
    again = json.loads(call("run", *asked, "--resume", "--json")[1])
    assert (again["content_hash"], again["store"]) == (content_hash, str(store))


RUN = "from fleetlabel.engine.cli.app import main; main()"


def test_runs_that_are_killed_go_on(bucket: Path, drives: Fleet, expected: dict[str, str]) -> None:
    store = bucket / "drive.zarr"
    command = [sys.executable, "-c", RUN, "run", str(drives[0]), "--sequence", "0001", "--detections2d"]
    command += [str(drives[1]), "--out", str(store), "--chunk-frames", "1", "--workers", "2", "--resume"]
    rng = random.Random(8)
    for _ in range(2):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            running.wait(rng.uniform(4, 9))
        except subprocess.TimeoutExpired:
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    opened = SequenceStore.open(store)
    (hash_,) = [value for name, value in expected.items() if name.endswith("0001")]
    assert describe(opened).content_hash == hash_
    assert verify(opened) == []
