"""Several hosts: workers with addresses of their own, one of them cut off; what each offers; disks that refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.conftest import RunFleet
from cluster.fleets import Fleet, hashes, write_fleet
from cluster.machines import (
    COMPLAINED,
    SmallCluster,
    begin,
    drive_fleet,
    redone,
    wait_until,
)
from cluster.tasks_for_workers import harmless
from detect.small_models import square_finder
from fleetlabel.engine.cluster import DaskWorkers, connect
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.fleet.status import look
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.engine.pipeline.driver import drive
from fleetlabel.engine.pipeline.schedule import Limits, Schedule
from fleetlabel.model.errors import ClusterError, StoreWriteError

pytest.importorskip("distributed")

NETWORK = f"10.213.{os.getpid() % 256}"  # not that of a test run that was killed and left its own behind
# A connection that says nothing for so long is dead; 30 s by default, and 11 s is the least.
IMPATIENT = {"distributed.comm.timeouts.tcp": "11s"}


@pytest.mark.slow
def test_labels_are_the_same_with_one_two_and_four_workers(
    run: RunFleet, small_fleet: Fleet, expected: dict[str, str], tmp_path: Path
) -> None:
    with SmallCluster(tmp_path) as cluster:
        for n_workers, chunk_frames in ((1, 1), (2, 5), (4, 4)):
            while len(cluster.workers) < n_workers:
                cluster.add_worker(f"worker{len(cluster.workers)}")
            out = f"{n_workers} workers"
            run(small_fleet, out, fleet__cluster=cluster.address, chunk_frames=chunk_frames)
            assert hashes(tmp_path / out) == expected


@pytest.mark.slow
def test_weights_are_loaded_once_per_worker_and_only_where_pictures_are_looked_at(
    small_fleet: Fleet, tmp_path: Path
) -> None:
    model = square_finder(tmp_path / "squares.onnx")
    settings = {
        "model": model,
        "out": tmp_path / "out",
        "chunk_frames": 2,
        "detect.backend": "onnxruntime",
        "fleet.detect_needs": {"GPU": 1.0},
    }
    with SmallCluster(tmp_path) as cluster, ExitStack() as stack:
        cluster.add_worker("plain")
        cluster.add_worker("gpu", resources={"GPU": 1})
        with_needs = settings | {"fleet.cluster": cluster.address, "fleet.wait_for_workers_s": 30.0}
        connection = connect(cluster.address, stack)
        wait_until(lambda: connection.n_workers() == 2, "both workers")
        outcome = run_fleet([small_fleet[0]], load_config(None, with_needs))
        assert outcome.done == 3
        loaded = {
            name: [line for line in cluster.notes(name) if line[0] == "loaded"] for name in cluster.workers
        }
        assert {name: len(lines) for name, lines in loaded.items()} == {"plain": 0, "gpu": 1}
        looked = {name: {line[1] for line in cluster.notes(name)} for name in cluster.workers}
        assert "_detect" in looked["gpu"]
        assert "_detect" not in looked["plain"]
        assert "_ingest" in looked["plain"]

        cluster.workers["gpu"].kill()
        wait_until(lambda: connection.n_workers() == 1, "its end")
        with pytest.raises(ClusterError, match="detection needs GPU=1, which none of the 1 workers has"):
            run_fleet([small_fleet[0]], load_config(None, with_needs | {"existing": "resume"}))
        workers = DaskWorkers(connection, {"detect": {"GPU": 1.0}}, without_workers_s=1.0)
        with pytest.raises(ClusterError, match="has had no workers with GPU=1 for 1 s"):
            drive(
                Schedule([("drive", [harmless(tmp_path, 0)])], Limits(2)),
                workers,
                on_finished=lambda name, done: None,
                on_end=lambda end: None,
            )


@pytest.mark.slow
def test_ctrl_c_lets_workers_commit_what_they_are_at(tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path, 2, 12)
    with SmallCluster(tmp_path) as cluster:
        cluster.add_worker("worker")
        settings = {
            "out": tmp_path / "out",
            "detections2d": fleet[1],
            "chunk_frames": 1,
            "fleet.cluster": cluster.address,
        }
        driver = begin(drive_fleet, fleet[0], settings, tmp_path / "log")
        wait_until(lambda: cluster.noted_bytes("worker") > 1500, "some work")
        assert driver.pid is not None
        os.kill(driver.pid, signal.SIGINT)
        driver.join(60)
        assert driver.exitcode == COMPLAINED
        assert "interrupted; what was finished is kept" in (tmp_path / "log").read_text()
        assert "--resume" in (tmp_path / "log").read_text()
        notes = cluster.notes("worker")
        begun = [line[2] for line in notes if line[0] == "begun"]
        assert sorted(begun) == sorted(line[2] for line in notes if line[0] == "done"), "all were let finish"
        assert look(tmp_path / "out").state == "stopped"

        outcome = run_fleet([fleet[0]], load_config(None, settings | {"existing": "resume"}))
        assert outcome.done == 2
        assert redone(cluster.notes("worker"))[1] == 0


@pytest.mark.slow
def test_a_full_disk_is_told_at_once_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path, 3)
    settings = {"out": small_disk / "out", "detections2d": fleet[1], "existing": "resume"}
    with SmallCluster(tmp_path) as cluster:
        cluster.add_worker("worker")
        settings["fleet.cluster"] = cluster.address
        with pytest.raises(StoreWriteError, match="the disk is full; free some space .* --resume"):
            run_fleet([fleet[0]], load_config(None, settings))
        _command("mount", "-o", "remount,size=64m", small_disk)
        assert run_fleet([fleet[0]], load_config(None, settings)).done == 3
        _command("mount", "-o", "remount,ro", small_disk)
        with pytest.raises(StoreWriteError, match="the file system is read-only; choose another --out"):
            run_fleet([fleet[0]], load_config(None, settings))
    in_peace = load_config(
        None, settings | {"out": tmp_path / "peace", "fleet.cluster": None, "fleet.threads": True}
    )
    run_fleet([fleet[0]], in_peace)
    assert hashes(small_disk / "out") == hashes(tmp_path / "peace")


@pytest.mark.slow
def test_a_host_that_is_cut_off_changes_nothing(hosts: list[str], tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path, 2, 12)
    settings = {"detections2d": fleet[1], "chunk_frames": 1}
    in_peace = settings | {"out": tmp_path / "peace", "fleet.threads": True, "workers": 1}
    run_fleet([fleet[0]], load_config(None, in_peace))
    with SmallCluster(tmp_path, f"{NETWORK}.2", hosts[0], IMPATIENT) as cluster:
        for number, name in enumerate(hosts[1:], start=3):
            cluster.add_worker(name, host=f"{NETWORK}.{number}", namespace=name)

        def cut() -> None:
            wait_until(lambda: cluster.noted_bytes(hosts[2]) > 600, "some work")
            _command("ip", "-n", hosts[2], "link", "set", "eth0", "down")

        cutting = threading.Thread(target=cut)
        cutting.start()
        among_hosts = settings | {"out": tmp_path / "out", "fleet.cluster": cluster.address}
        outcome = run_fleet([fleet[0]], load_config(None, among_hosts))
        cutting.join()
        assert outcome.failures == ()
        assert hashes(tmp_path / "out") == hashes(tmp_path / "peace")
        assert len(cluster.notes(hosts[1])) > len(cluster.notes(hosts[2])) > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with little room."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        _command("mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", place)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this test may not mount a file system: {_why(error)}")
    yield place
    _command("umount", "-l", place)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Three network namespaces with addresses 2, 3 and 4 of a network that this process is in."""
    bridge = f"fl{os.getpid()}"
    names = [f"{bridge}-{number}" for number in (2, 3, 4)]
    try:
        _command("ip", "link", "add", bridge, "type", "bridge")
        _command("ip", "addr", "add", f"{NETWORK}.1/24", "dev", bridge)
        _command("ip", "link", "set", bridge, "up")
        for number, name in enumerate(names, start=2):
            _command("ip", "netns", "add", name)
            _command("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            _command("ip", "link", "set", name, "master", bridge, "up")
            _command("ip", "-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            _command("ip", "-n", name, "link", "set", "eth0", "up")
            _command("ip", "-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        _remove(bridge, names)
        pytest.skip(f"this test may not create network namespaces: {_why(error)}")
    yield names
    _remove(bridge, names)


def _remove(bridge: str, names: list[str]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)


def _command(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def _why(error: OSError | subprocess.CalledProcessError) -> str:
    said = error.stderr.decode().strip() if isinstance(error, subprocess.CalledProcessError) else ""
    return said or str(error)
