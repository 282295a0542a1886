"""Peak memory of a whole run against the length of the log.

A PandaSet drive is repeated there and back (frames 0, 1, ..., n-1, n-2, ..., 1, 0, 1, ...), which keeps ego motion and
objects continuous at any length; pictures are links to the original files. Each length is labelled by a
process of its own, whose peak resident memory the operating system reports.

    python benchmarks/memory.py --drive PANDASET_DRIVE --model WEIGHTS --frames 24 96 384 [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import pandas as pd

_TIMELINES = ("timestamps.json", "poses.json")


def repeat_drive(source: Path, target: Path, frames: int) -> None:
    """Writes a PandaSet folder of ``frames`` frames that goes through ``source`` there and back."""
    original_s: list[float] = json.loads((source / "lidar" / "timestamps.json").read_text())
    originals = len(original_s)
    cycle = [*range(originals), *range(originals - 2, 0, -1)]
    order = [cycle[i % len(cycle)] for i in range(frames)]
    sweep_s = _timeline(original_s, order)
    for folder in (
        "lidar",
        "annotations/cuboids",
        *(f"camera/{c.name}" for c in sorted((source / "camera").iterdir())),
    ):
        (target / folder).mkdir(parents=True)
        files = sorted(file for file in (source / folder).iterdir() if file.stem.split(".")[0].isdigit())
        for new, old in enumerate(order):
            place = target / folder / f"{new:02d}{''.join(files[old].suffixes)}"
            if folder == "lidar":
                _copy_sweep(files[old], place, later_s=sweep_s[new] - original_s[old])
            else:
                place.symlink_to(files[old].resolve())
        for extra in (source / folder).glob("*.json"):
            content = json.loads(extra.read_text())
            if extra.name in _TIMELINES:
                content = (
                    _timeline(content, order)
                    if extra.name == "timestamps.json"
                    else [content[i] for i in order]
                )
            (target / folder / extra.name).write_text(json.dumps(content))
    (target / "meta").mkdir()
    for extra in (source / "meta").glob("*.json"):
        content = json.loads(extra.read_text())
        picked = _timeline(content, order) if extra.name == "timestamps.json" else [content[i] for i in order]
        (target / "meta" / extra.name).write_text(json.dumps(picked))


def _copy_sweep(source: Path, target: Path, later_s: float) -> None:
    """Copies a sweep with the times of its points moved."""
    sweep = pd.read_pickle(source)
    sweep["t"] += later_s
    sweep.to_pickle(target, compression={"method": "gzip", "compresslevel": 1})


def _timeline(times_s: list[float], order: list[int]) -> list[float]:
    """Ascending times whose steps are those of the original between the same frames, there or back."""
    steps = [abs(times_s[after] - times_s[before]) for before, after in pairwise(order)]
    repeated = [times_s[order[0]]]
    for step in steps:
        repeated.append(repeated[-1] + step)
    return repeated


def peak_mib(drive: Path, model: Path, store: Path, workers: int) -> float:
    """Peak resident memory in MiB of a process that labels a drive."""
    script = (
        "import resource, sys; from fleetlabel.engine.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", script, "run", str(drive), "--model", str(model), "--out", str(store)]
    command += ["--workers", str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the run failed with {done.returncode}:\n{done.stderr}")
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """Prints a table of frames, peak memory and growth per frame between successive lengths."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drive", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="+", default=[24, 96, 384])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, float]] = []
    for frames in arguments.frames:
        scratch = Path(tempfile.mkdtemp(prefix="fleetlabel-memory-"))
        try:
            repeat_drive(arguments.drive, scratch / "drive", frames)
            peak = peak_mib(scratch / "drive", arguments.model, scratch / "drive.zarr", arguments.workers)
        finally:
            shutil.rmtree(scratch)
        growth = (
            1024 * (peak - rows[-1]["peak_mib"]) / (frames - rows[-1]["frames"]) if rows else float("nan")
        )
        rows.append({"frames": frames, "peak_mib": round(peak, 1)})
        print(f"{frames:6d} frames  peak {peak:8.1f} MiB  growth {growth:8.1f} KiB/frame", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"unit": "MiB", "rows": rows}))


if __name__ == "__main__":
    main()
