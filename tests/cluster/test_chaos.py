"""Workers, schedulers and drivers killed at random moments: the labels are those of a run that nobody disturbed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.fleets import Fleet, hashes, write_fleet
from cluster.machines import DONE, LOST, SmallCluster, begin, drive_fleet, redone, wait_until
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.store import SequenceStore, Table, verify
from fleetlabel.store.hierarchy import walk_groups

pytest.importorskip("distributed")

# `make soak` sets it to 200.
KILLS = int(os.environ.get("FLEETLABEL_SOAK_KILLS", "10"))
WORKERS = ("worker1", "worker2")
DRIVES, FRAMES, CHUNK = 2, 28, 1
BYTES_BETWEEN = (300, 2500)  # of notes between two kills; a task notes some 60


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_whoever_is_killed_nothing_is_lost_or_doubled_and_little_is_done_again(tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path, DRIVES, FRAMES)
    expected = labelled_in_peace(fleet, tmp_path / "peace")
    rng = np.random.default_rng(8)
    killed: Counter[str] = Counter()
    needed = again = n_round = 0
    while killed.total() < KILLS:
        place = tmp_path / f"round{n_round}"
        place.mkdir()
        running = _Processes(fleet, place)
        try:
            killed += disturbed(running, rng, KILLS - killed.total())
            in_round = redone(running.notes())
        finally:
            running.end()
        assert hashes(place / "out") == expected
        for name in expected:
            check_once(place / "out" / f"{name}.zarr")
        needed, again, n_round = needed + in_round[0], again + in_round[1], n_round + 1
    print(f"killed {dict(killed)} in {n_round} fleets; {again} of {needed} tasks were begun again")
    assert again <= 0.05 * needed


def labelled_in_peace(fleet: Fleet, out: Path) -> dict[str, str]:
    """Content hashes of a fleet that one thread labelled, in other chunks."""
    settings = {"out": out, "detections2d": fleet[1], "workers": 1, "fleet.threads": True, "chunk_frames": 32}
    assert run_fleet([fleet[0]], load_config(None, settings)).done == DRIVES
    return hashes(out)


def check_once(root: Path) -> None:
    """Every part is there, once, and whole; and nothing is there beside."""
    store = SequenceStore.open(root)
    assert verify(store) == []
    n_tables = 0
    for folder, _, is_table in walk_groups(root):
        if is_table:
            ranges = Table(root, folder.relative_to(root).as_posix()).ranges()
            assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
            n_tables += 1
    assert n_tables > 6
    assert len(store.label_versions()) == 2, "the truth and ours"
    assert not [path for path in root.rglob(".pending-*") if path.is_dir()]


def disturbed(running: _Processes, rng: np.random.Generator, kills: int) -> Counter[str]:
    """Kills processes while they label a fleet; who was killed, how often. Less often, if it is done before."""
    killed: Counter[str] = Counter()
    while running.tend():
        if killed.total() >= kills:
            wait_until(lambda: not running.tend(), "the rest", 300)
            break
        due = running.noted_bytes() + int(rng.integers(*BYTES_BETWEEN))
        wait_until(lambda due=due: running.noted_bytes() >= due or not running.tend(), "some work", 120)
        if running.driver.exitcode is None:
            time.sleep(rng.uniform(0.0, 0.05))
            victim = str(rng.choice([*WORKERS, "driver", "scheduler"]))
            running.kill(victim)
            killed[victim] += 1
    return killed


class _Processes:
    """A cluster and a driver; whoever is gone is started again."""

    def __init__(self, fleet: Fleet, place: Path) -> None:
        self._place = place
        self._cluster = SmallCluster(place)
        self._fleet = fleet
        self._settings: dict[str, Any] = {
            "out": place / "out",
            "detections2d": fleet[1],
            "existing": "resume",
            "chunk_frames": CHUNK,
            "fleet.cluster": self._cluster.address,
            "fleet.wait_for_workers_s": 60.0,
        }
        for name in WORKERS:
            self._cluster.add_worker(name)
        self.driver = self._begin_driver()

    def notes(self) -> list[list[str]]:
        """Of all workers."""
        return [line for name in WORKERS for line in self._cluster.notes(name)]

    def noted_bytes(self) -> int:
        """How much they noted."""
        return sum(map(self._cluster.noted_bytes, WORKERS))

    def tend(self) -> bool:
        """Starts again who is gone; False once the driver is done."""
        if self._cluster.scheduler.exitcode is not None:
            # Whoever talked to it gives up; workers commit what they are at.
            self._cluster.restart_scheduler()
        for name in WORKERS:
            if self._cluster.workers[name].exitcode is not None:
                self._cluster.add_worker(name)
        if self.driver.exitcode == DONE:
            return False
        if self.driver.exitcode is not None:
            log = self._place / "log"
            told = log.read_text() if log.exists() else ""
            assert self.driver.exitcode in (LOST, -signal.SIGKILL), told
            assert self.driver.exitcode != LOST or "what was finished is kept" in told, told
            self.driver = self._begin_driver()
        return True

    def kill(self, who: str) -> None:
        """Kills a worker, the scheduler or the driver, at once."""
        others = {"driver": self.driver, "scheduler": self._cluster.scheduler}
        process = others.get(who) or self._cluster.workers[who]
        process.kill()
        process.join()

    def end(self) -> None:
        """Kills all."""
        self.kill("driver")
        self._cluster.__exit__()

    def _begin_driver(self) -> ForkServerProcess:
        return begin(drive_fleet, self._fleet[0], self._settings, self._place / "log")
