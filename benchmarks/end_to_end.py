"""Decode, detect, lift, track, store: pictures/s end to end, as a share of the limit, and what grows with what.

    python benchmarks/end_to_end.py --drive PANDASET_DRIVE --model WEIGHTS --synthetic STORE [--only PART]
    python benchmarks/end_to_end.py --write

STORE is made by `fleetlabel synth --store --duration 20 --out STORE`. Everything is measured by `fleetlabel bench`, in
a process of its own each: the drive as it is and, as `memory.py` repeats it there and back, ten times as long; the
synthetic drive of six cameras with the bundled detector; each with and without lidars. Then what grows with frames,
cameras and objects (a lower confidence finds more of them in the same pictures). Numbers go to
results/end_to_end.json, one part after the other; ``--write`` puts the tables into the READMEs, between their markers.

Whoever compares others with this calls :func:`bench_of` with a drive, weights and an input size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from memory import repeat_drive

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "end_to_end.json"
BEGIN, END = "<!-- table: end_to_end.py --write -->\n", "<!-- end of end-to-end table -->\n"
README_BEGIN = "<!-- table: python benchmarks/end_to_end.py --write -->\n"
LONG = 240
LIMIT_SHARE = 0.05
NEEDED = 0.90


def main() -> None:
    """Measure, or write the tables of what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drive", type=Path, help="a PandaSet drive")
    parser.add_argument("--model", type=Path, help="weights for it")
    parser.add_argument("--synthetic", type=Path, help="the store of a synthetic drive")
    parser.add_argument("--only", choices=("real", "synthetic", "growth"))
    parser.add_argument("--work", type=Path, help="folder for scratch: the disk that is measured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="only: the tables of the last numbers")
    args = parser.parse_args()
    if args.write:
        write_tables(json.loads(RESULTS.read_text()))
        return
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    parts = [args.only] if args.only else ["real", "synthetic", "growth"]
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        for part in parts:
            found[part] = {"real": real, "synthetic": synthetic, "growth": growth}[part](args, Path(folder))
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def bench_of(
    drive: Path, model: str, work: Path, *options: str, imgsz: int | None = None, repeats: int = 3
) -> dict[str, Any]:
    """What `fleetlabel bench` says of a drive, or a store, in a process of its own that has one thread per worker."""
    numbers = work / "bench.json"
    command = [sys.executable, "-m", "fleetlabel.engine.cli", "bench", str(drive), "--model", model]
    command += ["--json", str(numbers), "--work", str(work), "--repeats", str(repeats), *options]
    command += [] if imgsz is None else ["--imgsz", str(imgsz)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(numbers.read_text())
    del found["work"]["sensors"]
    return found


def real(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The real drive, and ten times as much of it."""
    store, long_store = ingested(args.drive, folder / "real.zarr"), long_drive(args.drive, folder, LONG)
    found = {}
    for name, drive in (("24 frames", store), (f"{LONG} frames", long_store)):
        for what, options in (("cameras", ["--cameras-only"]), ("cameras and lidars", [])):
            found[f"{name}, {what}"] = bench_of(
                drive, str(args.model), folder, *options, repeats=args.repeats
            )
            print(name, what, found[f"{name}, {what}"]["efficiency"], flush=True)
    return found


def synthetic(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The synthetic drive of six cameras."""
    found = {}
    for what, options in (("cameras", ["--cameras-only"]), ("cameras and lidar", [])):
        found[what] = bench_of(args.synthetic, "synthetic", folder, *options, repeats=args.repeats)
        print("synthetic", what, found[what]["efficiency"], flush=True)
    return found


def growth(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Twice the frames, more cameras, more objects."""
    found: dict[str, Any] = {"frames": {}, "cameras": {}, "objects": {}}
    stores = {frames: long_drive(args.drive, folder, frames) for frames in (30, 60, 120)}
    for frames, store in stores.items():
        found["frames"][frames] = bench_of(store, str(args.model), folder, repeats=args.repeats)
    cameras = [path.name for path in sorted((args.drive / "camera").iterdir())]
    for count in (1, 3):
        few = fewer_cameras(stores[60], folder / f"cameras{count}.zarr", cameras[:count])
        found["cameras"][count] = bench_of(few, str(args.model), folder, repeats=args.repeats)
    found["cameras"][len(cameras)] = found["frames"][60]
    for conf in ("0.4", "0.1", "0.03"):
        found["objects"][conf] = bench_of(
            stores[60], str(args.model), folder, "--conf", conf, repeats=args.repeats
        )
    return found


def ingested(drive: Path, store: Path) -> Path:
    """A store of a drive log."""
    command = [sys.executable, "-m", "fleetlabel.engine.cli", "ingest", str(drive), "--out", str(store)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return store


def long_drive(drive: Path, folder: Path, frames: int) -> Path:
    """A store of a drive that goes there and back until it has so many frames."""
    log, store = folder / f"log{frames}", folder / f"long{frames}.zarr"
    if not store.exists():
        repeat_drive(drive, log, frames)
        ingested(log, store)
    return store


def fewer_cameras(store: Path, out: Path, cameras: list[str]) -> Path:
    """A store of some of another one's cameras, and its lidars."""
    from fleetlabel.model.sensors import SensorKind
    from fleetlabel.store import SequenceStore
    from fleetlabel.store.linked import linked_store

    opened = SequenceStore.open(store)
    lidars = [sensor.name for sensor in opened.info.of_kind(SensorKind.LIDAR)]
    linked_store(opened, out, [*cameras, *lidars])
    return out


def write_tables(found: dict[str, Any]) -> None:
    """Puts the tables into the READMEs."""
    rows = {f"PandaSet, {name}": one for name, one in found.get("real", {}).items()}
    rows |= {f"synthetic, 200 frames, {name}": one for name, one in found.get("synthetic", {}).items()}
    table = rates(rows) + "\n" + shares(rows)
    if "growth" in found:
        table += "\n" + growths(found["growth"])
    put(HERE / "README.md", BEGIN, END, table)
    put(HERE.parent / "README.md", README_BEGIN, END, short(rows))


def rates(rows: dict[str, Any]) -> str:
    """Rates and efficiency."""
    lines = [
        "| drive | pictures/s | spread | limit, pictures/s | efficiency | >= 0.90 | of the core time used |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in rows.items():
        limit = one["pictures_per_s"] / one["efficiency"]
        met = "yes" if one["efficiency"] >= NEEDED else "**no**"
        lines.append(
            f"| {name} | {one['pictures_per_s']:.0f} | {100 * one['spread']:.0f} % | {limit:.0f} "
            f"| {one['efficiency']:.2f} | {met} | {one['unavoidable']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def shares(rows: dict[str, Any]) -> str:
    """Where the core time goes."""
    steps = list(dict.fromkeys(line["step"] for one in rows.values() for line in one["steps"]))
    lines = [f"| core-ms per picture | {' | '.join(steps)} |", "|---|" + "---|" * len(steps)]
    for name, one in rows.items():
        mine = {line["step"]: 1e3 * line["core_s"] / one["sizes"]["pictures"] for line in one["steps"]}
        lines.append(f"| {name} | {' | '.join(f'{mine[s]:.2f}' if s in mine else '' for s in steps)} |")
    return "\n".join(lines) + "\n"


def growths(found: dict[str, Any]) -> str:
    """How core time grows with what there is to do."""
    steps = ("decode", "inference", "lift", "associate", "smooth", "link", "write", "other")
    lines = [f"| core-s | boxes | {' | '.join(steps)} | all |", "|---|" + "---|" * (len(steps) + 2)]
    for kind, names in (("frames", "{} frames"), ("cameras", "{} cameras"), ("objects", "confidence {}")):
        for value, one in found[kind].items():
            mine = {line["step"]: line["core_s"] for line in one["steps"]}
            cells = " | ".join(f"{mine.get(step, 0.0):.3f}" for step in steps)
            boxes = one["repeats"][0]["boxes"]
            lines.append(f"| {names.format(value)} | {boxes:,} | {cells} | {sum(mine.values()):.2f} |")
    return "\n".join(lines) + "\n"


def short(rows: dict[str, Any]) -> str:
    """For people who only want to know how fast it is."""
    lines = [
        "| drive | pictures/s | frames of all cameras/s | efficiency | by core time |",
        "|---|---|---|---|---|",
    ]
    for name, one in rows.items():
        lines.append(
            f"| {name} | {one['pictures_per_s']:.0f} | {one['frames_per_s']:.1f} | {one['efficiency']:.2f} "
            f"| {one['unavoidable']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def put(path: Path, begin: str, end: str, table: str) -> None:
    """Replaces what is between two markers."""
    before, rest = path.read_text().split(begin)
    path.write_text(before + begin + table + end + rest.split(end, 1)[1])


if __name__ == "__main__":
    main()
