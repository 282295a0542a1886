"""Our store beside NVIDIA NCore, zarr-python, WebDataset's tars and plain files: the same drive, written and read.

    python -m venv storage_peers && storage_peers/bin/pip install nvidia-ncore==19.8.3 webdataset==1.0.2
    python benchmarks/storage.py DRIVE --peers storage_peers/bin/python [--work DIR] [--rounds 4] [--json FILE]
    python benchmarks/storage.py --write

DRIVE is a PandaSet drive, whose frames are repeated four times. Each contender (``storage_worker.py``) is a
process of its own in the environment that has it, and gets its own copy; what it gives back is compared with what went
in before anything is timed. Then everybody does the same in turns, round by round, in another order each time: pictures
and sweeps at random and in order, from files that the system has in memory and from such as it was told to forget.
``--write`` puts the table into README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from record import cpu_name

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "storage.json"
BEGIN, END = "<!-- table: storage.py --write -->\n", "<!-- end of storage table -->\n"
REPEATS, WRITES = 4, 2  # of the drive's frames; of writing all of it
OURS = "fleetlabel"
OF_PEERS = (
    "ncore itar",
    "ncore itar, metadata not gathered",
    "ncore folder",
    "ncore folder, metadata not gathered",
    "ncore itar, rays",
    "webdataset tar",
)
OF_OURS = (OURS, "zarr-python", "plain files")
COUNTS = {"open": 10, "random": 200, "sequential": 0, "sweep": 60, "sweeps": 0}  # reads in a round; 0: all
TITLES = {
    "open": "opened, one picture read, ms",
    "random": "a picture at random, ms",
    "sequential": "pictures in order, ms each",
    "sweep": "a sweep at random, ms",
    "sweeps": "sweeps in order, ms each",
}


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name: str, python: Path, work: Path) -> None:
        self.name, self.folder = name, work / name.replace(" ", "_").replace(",", "")
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            [python, HERE / "storage_worker.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | threads,
        )
        self.versions = self._answer()

    def do(self, what: str, **told: Any) -> dict[str, Any]:
        """Has it do one thing, and waits."""
        assert self._process.stdin is not None
        print(
            json.dumps({"what": what, "folder": str(self.folder), **told}),
            file=self._process.stdin,
            flush=True,
        )
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} died; run it by hand: storage_worker.py '{self.name}'")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """No more to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def main() -> None:
    """Measure and keep, or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("drive", type=Path, nargs="?", help="a PandaSet drive")
    parser.add_argument(
        "--peers", type=Path, help="interpreter of the environment with nvidia-ncore, webdataset"
    )
    parser.add_argument("--work", type=Path, help="folder for some GB; a new one in the system's by default")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", nargs="*", default=[*OF_OURS, *OF_PEERS], help="contenders")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file for the numbers")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    args = parser.parse_args()
    if args.write:
        write_table(json.loads(RESULTS.read_text()))
        return
    if args.drive is None or args.peers is None:
        parser.error("give a drive and --peers, or --write")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        source = Path(folder) / "source"
        held = make_source(args.drive, source)
        ingested = ingest(source, Path(folder), args.rounds)
        print(ingested, flush=True)
        found = measure(source, args.peers, Path(folder), args.rounds, args.only)
    found |= {"drive": held, "ingest": ingested}
    args.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(source: Path, peers: Path, work: Path, rounds: int, only: list[str]) -> dict[str, Any]:
    """All contenders, in turns."""
    workers = [Worker(name, Path(sys.executable), work) for name in OF_OURS if name in only]
    workers += [Worker(name, peers, work) for name in OF_PEERS if name in only]
    found: dict[str, Any] = {worker.name: {"versions": worker.versions} for worker in workers}
    writes: dict[str, list[float]] = {worker.name: [] for worker in workers}
    for _ in range(WRITES):
        for worker in workers:
            shutil.rmtree(worker.folder, ignore_errors=True)
            worker.folder.mkdir()
            done = worker.do("write", source=str(source))
            writes[worker.name].append(done["seconds"])
            found[worker.name]["bytes"] = done["bytes"]
    for worker in workers:
        found[worker.name] |= {
            "off": worker.do("verify", source=str(source)),
            "write_s": spread(writes[worker.name]),
        }
        print(worker.name, found[worker.name], flush=True)
    for cold in (False, True):
        for what, ms in in_turns(workers, rounds, cold).items():
            for name, values in ms.items():
                found[name][f"{what} {'cold' if cold else 'warm'}"] = spread(values)
    for worker in workers:
        worker.end()
    return {
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count()},
        "python": sys.version.split()[0],
        "rounds": rounds,
        "contenders": found,
    }


def in_turns(workers: list[Worker], rounds: int, cold: bool) -> dict[str, dict[str, list[float]]]:
    """Milliseconds per read, round by round, of what can be read by contender; the first round is not counted."""
    order = random.Random(0)
    ms: dict[str, dict[str, list[float]]] = {what: {w.name: [] for w in workers} for what in COUNTS}
    for turn in range(rounds + 1):
        for what, count in COUNTS.items():
            for worker in order.sample(workers, len(workers)):
                done = worker.do(what, count=count, seed=turn, cold=cold)
                if turn:
                    ms[what][worker.name].append(1e3 * done["seconds"] / done["count"])
    return ms


def make_source(drive: Path, folder: Path) -> dict[str, Any]:
    """The drive's pictures and sweeps as plain files, its frames repeated; what it holds."""
    from fleetlabel.engine.ingest import open_sequence
    from fleetlabel.model.sensors import SensorKind
    from storage_drive import Drive, Files

    source = open_sequence(drive, None)
    jpegs, sweeps = {}, {}
    for sensor in source.info.sensors:
        part, _ = source.read_sensor(sensor.name, 0, source.info.n_frames)
        border = part.offsets
        if sensor.kind is SensorKind.CAMERA:
            data = part.flat["jpeg"]
            jpegs[sensor.name] = [data[a:b].tobytes() for a, b in pairwise(border)] * REPEATS
        else:
            points, times = part.flat["points"], part.flat["point_time_offset_ns"]
            sweeps[sensor.name] = [(points[a:b], times[a:b]) for a, b in pairwise(border)] * REPEATS
    kept = Drive(jpegs, sweeps)
    Files.write(folder, kept)
    return {
        "frames": kept.n_frames,
        "cameras": len(jpegs),
        "lidars": len(sweeps),
        "picture_bytes": sum(len(jpeg) for mine in jpegs.values() for jpeg in mine),
        "sweep_bytes": sum(
            points.nbytes + times.nbytes for mine in sweeps.values() for points, times in mine
        ),
    }


def ingest(source: Path, work: Path, rounds: int) -> dict[str, Any]:
    """`fleetlabel ingest` of the drive as a rig folder, beside copying that folder's files, synced, in turns."""
    from fleetlabel.engine.ingest.rig_writer import RigWriter
    from fleetlabel.store import Part
    from storage_contenders import description
    from storage_drive import Drive
    from storage_worker import files_below

    drive, rig = Drive.load(source), work / "rig"
    info = description(drive)
    writer = RigWriter.create(rig, info)
    columns = {
        name: {"jpeg": [np.frombuffer(j, np.uint8) for j in jpegs]} for name, jpegs in drive.jpegs.items()
    }
    for name, sweeps in drive.sweeps.items():
        points, times = zip(*sweeps, strict=True)
        columns[name] = {"points": list(points), "point_time_offset_ns": list(times)}
    for name, flat in columns.items():
        rows = np.array([len(row) for row in next(iter(flat.values()))], dtype=np.int64)
        samples: dict[str, Any] = {
            "timestamp_ns": info.frame_timestamp_ns,
            "status": np.zeros(len(rows), dtype=np.uint8),
        }
        part = Part(samples, rows, {column: np.concatenate(mine) for column, mine in flat.items()})
        writer.write_sensor_range(name, 0, part, [])
    writer.finish()
    files = files_below(rig)

    def copy(file: Path) -> None:
        with (work / "copy" / file.relative_to(rig)).open("wb") as to:
            to.write(file.read_bytes())
            to.flush()
            os.fsync(to.fileno())

    copied, ingested = [], []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for folder in {file.parent for file in files}:
            (work / "copy" / folder.relative_to(rig)).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(copy, files))
        copied.append(time.perf_counter() - start)
        ingested.append(ingested_in_s(rig, work / "ingested.zarr"))
        shutil.rmtree(work / "copy")
        shutil.rmtree(work / "ingested.zarr")
    return {
        "bytes": sum(file.stat().st_size for file in files),
        "copy_s": spread(copied[1:]),
        "ingest_s": spread(ingested[1:]),
    }


def ingested_in_s(rig: Path, store: Path) -> float:
    """Seconds that `fleetlabel ingest` takes, without its looking at what the drive holds afterwards."""
    from fleetlabel.engine.pipeline.config import RunConfig
    from fleetlabel.engine.pipeline.driver import execute, hire_threads
    from fleetlabel.engine.pipeline.ingesting import plan_ingest
    from fleetlabel.engine.pipeline.planning import open_store

    start = time.perf_counter()
    config = RunConfig(out=store)
    made, drive = open_store(rig, config)
    tasks = plan_ingest(made, rig, drive.info.name, config.frames_per_task())
    with ExitStack() as stack:
        workers, in_flight = hire_threads(config, stack)
        execute(tasks, workers, in_flight=in_flight)
    return time.perf_counter() - start


def spread(values: list[float]) -> dict[str, float]:
    """Median and the two ends."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


# --- the table --------------------------------------------------------------------------------------------------------


def write_table(found: dict[str, Any]) -> None:
    """Puts numbers beside each other into README.md."""
    contenders = found["contenders"]
    columns = [f"{what} {state}" for state in ("warm", "cold") for what in COUNTS]
    heads = [f"{TITLES[c.split()[0]]}{' (cold)' if c.endswith('cold') else ''}" for c in columns]
    lines = [
        "| | MB | written and synced, MB/s | " + " | ".join(heads) + " |",
        "| --- " * (len(heads) + 3) + "|",
    ]
    content = found["drive"]["picture_bytes"] + found["drive"]["sweep_bytes"]
    for name, row in contenders.items():
        cells = [f"{row['bytes'] / 1e6:.0f}", f"{content / 1e6 / row['write_s']['median']:.0f}"]
        cells += [f"{row[column]['median']:.3g}" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    best = {c: min(row[c]["median"] for name, row in contenders.items() if "itar" in name) for c in columns}
    ratios = [f"{best[c] / contenders[OURS][c]['median']:.2f}" for c in columns]
    lines.append(
        "| ours, times as fast as NCore's fastest indexed tar (target >= 1) | | | "
        + " | ".join(ratios)
        + " |"
    )
    made = found["ingest"]
    mb = made["bytes"] / 1e6
    copied, ingested = mb / made["copy_s"]["median"], mb / made["ingest_s"]["median"]
    lines += [
        "",
        f"Ingest, two workers, of the drive as a rig folder, {mb:.0f} MB: {ingested:.0f} MB/s; copying its files and "
        f"syncing each, 16 at a time: {copied:.0f} MB/s. Ratio {ingested / copied:.2f}, target 0.8.",
    ]
    path = HERE / "README.md"
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
