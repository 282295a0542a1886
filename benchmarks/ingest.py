"""Ingest beside copying the same bytes, every file of it on the disk in the end.

    python benchmarks/ingest.py --drive PANDASET_DRIVE [--work DIR] [--frames 96] [--rounds 5]
    python benchmarks/ingest.py --write

The drive is repeated there and back, and ingested as a rig folder (pictures, `.bin` sweeps: what goes in is what is
kept) and as it came (PandaSet: gzipped pickles, which have to be unpacked). Beside it as many threads as ingest has
workers copy the log's files, 1 MiB at a time, and call fsync for each. Both in turns; rates are of the log's bytes.
Before it is timed, every picture and point of the store is compared with the log. Numbers go to results/ingest.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from end_to_end import put
from fleetlabel.engine.bench.machine import machine
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.rig_writer import write_rig
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.store import SequenceStore
from memory import repeat_drive

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ingest.json"
BEGIN, END = "<!-- table: ingest.py --write -->\n", "<!-- end of ingest table -->\n"
GOAL = 0.8
_BLOCK = 1 << 20


def main() -> None:
    """Measure, or write the table of what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drive", type=Path, help="a PandaSet drive")
    parser.add_argument("--work", type=Path, help="folder for logs and stores: the disk that is measured")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="only: the table of the last numbers")
    args = parser.parse_args()
    if args.write:
        put(HERE / "README.md", BEGIN, END, table(json.loads(RESULTS.read_text())))
        return
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        found = measure(args.drive, Path(folder), args.frames, args.rounds)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found), end="")


def measure(drive: Path, folder: Path, frames: int, rounds: int) -> dict[str, Any]:
    """Both kinds of log."""
    repeat_drive(drive, folder / "pandaset", frames)
    write_rig(open_sequence(folder / "pandaset"), folder / "rig")
    found: dict[str, Any] = {"machine": machine(), "frames": frames}
    for name in ("rig", "pandaset"):
        files = [file for file in (folder / name).rglob("*") if file.is_file()]
        n_bytes = sum(file.stat().st_size for file in files)
        shutil.rmtree(folder / "store.zarr", ignore_errors=True)
        ingest(folder / name, folder / "store.zarr")
        compare(folder / name, folder / "store.zarr")
        seconds: dict[str, list[float]] = {"ingest": [], "copy": []}
        ways: dict[str, Callable[[], None]] = {
            "ingest": partial(ingest, folder / name, folder / "store.zarr"),
            "copy": partial(copy, folder / name, files, folder / "copy"),
        }
        for turn in range(rounds):
            for what in sorted(ways, reverse=bool(turn % 2)):
                shutil.rmtree(folder / "store.zarr", ignore_errors=True)
                shutil.rmtree(folder / "copy", ignore_errors=True)
                os.sync()
                started_s = time.perf_counter()
                ways[what]()
                seconds[what].append(time.perf_counter() - started_s)
        ratios = [
            copied / ingested for copied, ingested in zip(seconds["copy"], seconds["ingest"], strict=True)
        ]
        found[name] = {
            "n_bytes": n_bytes,
            "seconds": seconds,
            "mb_per_s": {what: n_bytes / 1e6 / statistics.median(took) for what, took in seconds.items()},
            "ratio": statistics.median(ratios),
        }
    return found


def ingest(log: Path, out: Path) -> None:
    """As `fleetlabel ingest` does it, on all cores."""
    pipeline.ingest(log, RunConfig(out=out))


def copy(log: Path, files: list[Path], to: Path) -> None:
    """All files, each synced, and their folders."""
    folders = {to / file.parent.relative_to(log) for file in files}
    for made in folders:
        made.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda file: _copy_one(file, to / file.relative_to(log)), files))
    for made in folders:
        _sync(made)


def _copy_one(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, _BLOCK)
        writing.flush()
        os.fsync(writing.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def compare(log: Path, root: Path) -> None:
    """Complains if the store does not hold what the log does."""
    store, drive = SequenceStore.open(root), open_sequence(log)
    for sensor in store.info.sensors:
        stored = store.sensor_table(sensor.name).read()
        given, _ = drive.read_sensor(sensor.name, 0, store.info.n_frames)
        for name, column in given.arrays().items():
            if not np.array_equal(column, stored.arrays()[name]):
                raise SystemExit(f"{log}: {name} of {sensor.name} was not stored as it came")


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| log | MB | ingest, MB/s | copy with fsync, MB/s | ratio | >= 0.8 |",
        "|---|---|---|---|---|---|",
    ]
    for name, words in (("rig", "rig folder: JPEG, `.bin`"), ("pandaset", "PandaSet: JPEG, `.pkl.gz`")):
        one = found[name]
        rates, met = one["mb_per_s"], "yes" if one["ratio"] >= GOAL else "**no**"
        lines.append(
            f"| {words} | {one['n_bytes'] / 1e6:,.0f} | {rates['ingest']:.0f} | {rates['copy']:.0f} "
            f"| {one['ratio']:.2f} | {met} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
