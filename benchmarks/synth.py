"""How fast synthetic drives are made, and that making a longer one takes no more memory.

    python benchmarks/synth.py [--seconds 4] [--size 960x540] [--lengths 5 40] [--json FILE]

Speed is that of `write_drive`, JPEG and files included, once with one process and once with as many as there are cores.
A second drive with a single tiny camera tells pictures from sweeps, a third of one frame what starting takes. Memory
is the most that any process of a drive held at once, of drives with small pictures; each drive is made by processes
of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_MAKE = """
import json, resource, sys, time
from pathlib import Path
from fleetlabel.engine.synth import SynthConfig, write_drive
if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    began = time.perf_counter()
    drive = write_drive(SynthConfig(**asked["config"]), Path(asked["folder"]), workers=asked["workers"])
    own, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({
        "wall_s": time.perf_counter() - began,
        "cpu_s": own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime,
        "frames": drive.info.n_frames,
        "writer_mib": own.ru_maxrss / 1024,
        "worker_mib": theirs.ru_maxrss / 1024,
    }))
"""


def made(workers: int, **config: Any) -> dict[str, float]:
    """Makes a drive in a process of its own: seconds, frames, and most memory of that process and of its workers."""
    with tempfile.TemporaryDirectory(prefix="fleetlabel-synth-") as folder:
        script = Path(folder) / "make.py"  # a file: workers that are spawned import it again
        script.write_text(_MAKE)
        asked = {"config": config, "folder": str(Path(folder) / "drive"), "workers": workers}
        done = subprocess.run(
            [sys.executable, str(script), json.dumps(asked)], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise SystemExit(f"a drive could not be made:\n{done.stderr}")
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def speeds(seed: int, seconds: float, size_px: tuple[int, int], workers: int) -> dict[str, float]:
    """Frames per second of six cameras and a lidar, and the processor time of a picture and of a sweep."""
    few = {"seed": seed, "duration_s": seconds, "n_cameras": 1, "size_px": (64, 36)}
    start = made(workers, **(few | {"duration_s": 0.1}))
    sweeps = made(workers, **few)
    whole = made(workers, **(few | {"n_cameras": 6, "size_px": size_px}))
    # What all drives have in common, such as processes that start, is not in what follows.
    more = whole["frames"] - start["frames"]
    return {
        "workers": workers,
        "frames": whole["frames"],
        "frames_per_s_and_camera": round(more / (whole["wall_s"] - start["wall_s"]), 3),
        "cpu_s_per_picture": round((whole["cpu_s"] - sweeps["cpu_s"]) / (6 * whole["frames"]), 4),
        "cpu_s_per_sweep": round((sweeps["cpu_s"] - start["cpu_s"]) / more, 4),
        "whole_drive_s": round(whole["wall_s"], 2),
    }


def main() -> None:
    """Prints speeds by processes and memory by length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=602)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the drives that are timed")
    parser.add_argument("--size", default="960x540", help="of their pictures")
    parser.add_argument(
        "--lengths", type=float, nargs="+", default=[5.0, 40.0], help="of drives that are weighed"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    began = time.perf_counter()
    made(1, seed=arguments.seed, duration_s=0.1, n_cameras=1, size_px=(64, 36))  # compiles what is not yet
    first_s = time.perf_counter() - began
    by_workers = []
    for workers in sorted({1, len(os.sched_getaffinity(0))}):
        row = speeds(arguments.seed, arguments.seconds, (width, height), workers)
        by_workers.append(row)
        print(
            f"{workers} process{'es' if workers > 1 else ''}: {row['frames_per_s_and_camera']:.2f} frames/s of each of "
            f"6 cameras and a lidar, {row['cpu_s_per_picture']:.3f} core-s a picture, {row['cpu_s_per_sweep']:.3f} "
            f"core-s a sweep; {row['frames']} frames in {row['whole_drive_s']:.1f} s, start included",
            flush=True,
        )
    memory = []
    for seconds in arguments.lengths:
        weighed = made(
            1, seed=arguments.seed, duration_s=seconds, n_cameras=2, size_px=(240, 135), n_columns=360
        )
        memory.append(
            {
                "duration_s": seconds,
                "writer_mib": round(weighed["writer_mib"], 1),
                "worker_mib": round(weighed["worker_mib"], 1),
            }
        )
        print(
            f"{seconds:5.0f} s drive: {weighed['writer_mib']:.0f} MiB where it is written, "
            f"{weighed['worker_mib']:.0f} MiB in the process that makes it",
            flush=True,
        )
    if arguments.json:
        numbers = {
            "size_px": [width, height],
            "first_s": round(first_s, 2),
            "speed": by_workers,
            "memory": memory,
        }
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
