"""What a fleet costs beside its work: coordination, two workers beside two processes, and how much a scheduler can do.

    python benchmarks/cluster.py --model WEIGHTS [--only fleet|scheduler] [--drives 4] [--frames 64] [--tasks 1000 ...]

``fleet`` labels drives that it makes (two cameras, two lidars; the pictures are small, and cost a YOLO network as much
as large ones do) on one worker, on two, and with two processes that know nothing of each other and have half of the
drives each, in turn and repeated. Tasks have 64 frames. Coordination is the share of the workers' time in which they do
no task, from the first task until all is labelled; what comes before (choosing the backend, loading the weights) takes
the same time for any fleet and is told apart.

``scheduler`` gives a scheduler with two workers, each a process of its own, tasks that do nothing, as many as a large
cluster would hold in flight, and takes the memory of driver and scheduler while they come back.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # which Dask brings

from fleetlabel.engine.cluster import Connection, DaskWorkers, connect
from fleetlabel.engine.fleet.estimate import Estimate
from fleetlabel.engine.fleet.root import Ended
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.fleet.workplace import Workplace
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.engine.pipeline.driver import drive
from fleetlabel.engine.pipeline.schedule import Limits, Schedule
from fleetlabel.engine.pipeline.tasks import Finished, Task, TaskResult

CHUNK_FRAMES = 64
TASKS_PER_SEQUENCE = 500
IN_FLIGHT = 1000


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="synthetic", help="YOLO weights; the bundled ones by default")
    parser.add_argument("--only", choices=("fleet", "scheduler"))
    parser.add_argument("--drives", type=int, default=4)
    parser.add_argument("--frames", type=int, default=64, help="of each drive")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    if args.only != "scheduler":
        results["fleet"] = measure_fleet(args.model, args.drives, args.frames, args.repeats)
    if args.only != "fleet":
        results["scheduler"] = measure_scheduler(args.tasks)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


# --- a fleet --------------------------------------------------------------------------------------------------------


def measure_fleet(model: str, n_drives: int, n_frames: int, repeats: int) -> dict[str, Any]:
    """Coordination on one and two workers, and two workers beside two processes."""
    folder = Path(tempfile.mkdtemp(prefix="fleetlabel-cluster-"))
    try:
        for number in range(n_drives):
            half = folder / f"half{number % 2}" / f"drive{number}"
            write_pandaset(half, Scene(n_frames=n_frames, seed=number))
        label(folder, "warm", model, ["half0"], threads=True, workers=1)  # compiles, and settles the backend
        rounds = [one_round(folder, model, number) for number in range(repeats)]
    finally:
        shutil.rmtree(folder)
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    found = {
        "frames": n_drives * n_frames,
        "chunk_frames": CHUNK_FRAMES,
        "rounds": rounds,
        "coordination_one_worker_percent": 100 * middle["coordination_one_worker"],
        "coordination_two_workers_percent": 100 * middle["coordination_two_workers"],
        "two_workers_over_two_processes": statistics.median(
            one["two_processes_s"] / one["two_workers_s"] for one in rounds
        ),
    }
    print(
        f"{found['frames']} frames: coordination {found['coordination_one_worker_percent']:.2f} % on one worker, "
        f"{found['coordination_two_workers_percent']:.2f} % on two; two workers reach "
        f"{found['two_workers_over_two_processes']:.3f} of two processes"
    )
    return found


def one_round(folder: Path, model: str, number: int) -> dict[str, float]:
    """Times of one worker, two workers and two processes, in turn."""
    both = ["half0", "half1"]
    one = label(folder, "out", model, ["half0"], workers=1)
    two = label(folder, "out", model, both, workers=2)
    command = [sys.executable, __file__, "--label", str(folder), model]
    processes = [subprocess.Popen([*command, half], stdout=subprocess.PIPE, text=True) for half in both]
    alone = [json.loads(process.communicate()[0]) for process in processes]
    found = {
        "one_worker_s": one["wall_s"],
        "two_workers_s": two["wall_s"],
        "before_two_workers_s": two["before_s"],
        "two_processes_s": max(each["wall_s"] for each in alone),
        "coordination_one_worker": one["coordination"],
        "coordination_two_workers": two["coordination"],
    }
    print(number, {name: round(value, 4) for name, value in found.items()}, flush=True)
    return found


class _Times:
    """An observer that notes when the first task is given out."""

    def __init__(self) -> None:
        self.first_s = 0.0

    def begun(self, expected: Estimate, workplace: Workplace) -> None:
        """Nothing is."""

    def turn(self, snapshot: Mapping[str, Any]) -> None:
        """It is going on."""
        if snapshot["state"] == "running" and not self.first_s:
            self.first_s = snapshot["elapsed_s"]

    def ended(self, ended: Ended) -> None:
        """One is done."""


def label(
    folder: Path, out: str, model: str, halves: list[str], *, workers: int, threads: bool = False
) -> dict[str, float]:
    """Labels halves of the drives anew; how long it took from the first task, what came before, and coordination."""
    settings = {
        "out": folder / out,
        "existing": "overwrite",
        "model": model,
        "workers": workers,
        "chunk_frames": CHUNK_FRAMES,
        "fleet.threads": threads,
    }
    times = _Times()
    outcome = run_fleet([folder / half for half in halves], load_config(None, settings), observer=times)
    busy_s = sum(stage["wall_s"] for stage in outcome.stages.values())
    wall_s = outcome.wall_s - times.first_s
    shutil.rmtree(folder / out)
    return {"wall_s": wall_s, "before_s": times.first_s, "coordination": 1 - busy_s / (wall_s * workers)}


# --- a scheduler ----------------------------------------------------------------------------------------------------


def measure_scheduler(sizes: list[int]) -> list[dict[str, float]]:
    """Tasks per second that do nothing, and memory, for several numbers of tasks."""
    rows = []
    for size in sizes:
        with ExitStack() as stack:
            connection, scheduler = cluster_apart(stack)
            row = nothing_but_tasks(DaskWorkers(connection), scheduler, size)
        rows.append(row)
        print(
            f"{size:7d} tasks: {row['tasks_per_s']:7.1f} tasks/s; core time per task: driver "
            f"{row['driver_cpu_ms_per_task']:.2f} ms, scheduler {row['scheduler_cpu_ms_per_task']:.2f} ms; memory "
            f"after a tenth and at the end: driver {row['driver_mib_at_tenth']:.0f} and {row['driver_mib']:.0f} MiB, "
            f"scheduler {row['scheduler_mib_at_tenth']:.0f} and {row['scheduler_mib']:.0f} MiB",
            flush=True,
        )
    return rows


def cluster_apart(stack: ExitStack) -> tuple[Connection, psutil.Process]:
    """A scheduler and two workers as `dask` starts them, and the scheduler's process."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleetlabel-cluster-")))
    file = folder / "scheduler.json"

    def dask(*arguments: str) -> psutil.Process:
        process = psutil.Popen([sys.executable, "-m", "dask", *arguments], stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    while not file.exists():
        time.sleep(0.1)
    for _ in range(2):
        dask("worker", "--scheduler-file", str(file), "--nthreads", "1", "--local-directory", str(folder))
    connection = connect(file, stack)
    while connection.n_workers() < 2:
        time.sleep(0.1)
    return connection, scheduler


def nothing_but_tasks(workers: DaskWorkers, scheduler: psutil.Process, size: int) -> dict[str, float]:
    """Drives a schedule of tasks that do nothing."""
    done = 0
    driver = psutil.Process()
    resident_mib: list[tuple[float, float]] = []

    def count(_: str, finished: Finished) -> None:
        nonlocal done
        done += 1
        if done % (size // 10) == 0:
            resident_mib.append((driver.memory_info().rss / 2**20, scheduler.memory_info().rss / 2**20))

    limits = Limits(in_flight=IN_FLIGHT, open_sequences=2 * IN_FLIGHT // TASKS_PER_SEQUENCE)
    began_s, began_cpu_s = time.perf_counter(), [cpu_s(process) for process in (driver, scheduler)]
    drive(Schedule(idle_sequences(size), limits), workers, on_finished=count, on_end=lambda end: None)
    took_s = time.perf_counter() - began_s
    driver_s, scheduler_s = (
        cpu_s(process) - began for process, began in zip((driver, scheduler), began_cpu_s, strict=True)
    )
    return {
        "tasks": size,
        "tasks_per_s": done / took_s,
        "driver_cpu_ms_per_task": 1e3 * driver_s / done,
        "scheduler_cpu_ms_per_task": 1e3 * scheduler_s / done,
        "driver_mib_at_tenth": resident_mib[0][0],
        "driver_mib": resident_mib[-1][0],
        "scheduler_mib_at_tenth": resident_mib[0][1],
        "scheduler_mib": resident_mib[-1][1],
    }


def cpu_s(process: psutil.Process) -> float:
    """Core time that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def idle_sequences(size: int) -> Iterator[tuple[str, list[Task]]]:
    """Sequences of tasks that do nothing, made as they are asked for."""
    for first in range(0, size, TASKS_PER_SEQUENCE):
        numbers = range(first, min(first + TASKS_PER_SEQUENCE, size))
        yield (
            f"drive{first}",
            [Task("detect", "camera", n, n + 1, partial(TaskResult, CHUNK_FRAMES)) for n in numbers],
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--label"]:
        _, _, place, weights, which = sys.argv
        print(json.dumps(label(Path(place), f"out-{which}", weights, [which], workers=1, threads=True)))
    else:
        main()
