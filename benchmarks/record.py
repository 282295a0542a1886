"""Run every tracking benchmark and keep the numbers, with the machine and the versions, in ``results/``.

    python benchmarks/record.py --data DIR [--only NAME]

Run it in the environment of peers. Then ``python benchmarks/results_table.py`` prints the table of the README.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "filterpy",
    "trackers",
    "supervision",
    "boxmot",
    "distributed",
    "onnxruntime",
)
WITHOUT_DATA = ("scaling.py", "cluster.py")


def main() -> None:
    """One benchmark after the other, one thread each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder laid out like kitti_tracking_dev, for those that need it"
    )
    parser.add_argument("--only", default="", help="benchmarks whose name contains this")
    args = parser.parse_args()
    (HERE / "results").mkdir(exist_ok=True)
    for name, script, options in benchmarks():
        if args.only in name:
            data = [] if script in WITHOUT_DATA else ["--data", str(args.data)]
            record(name, script, options, data)
            print(name, flush=True)


def benchmarks() -> list[tuple[str, str, list[str]]]:
    """Name, script and options of each."""
    out = []
    for cls in ("Car", "Pedestrian"):
        for mode in ("online", "offline"):
            options = ["--cls", cls, "--mode", mode]
            out.append((f"tracking_2d_{cls}_{mode}", "tracking.py", ["--task", "2d", *options]))
            out.append((f"tracking_3d_{cls}_{mode}", "tracking.py", ["--task", "3d", *options]))
            poses = ["--task", "3d", "--ego-poses", *options]
            out.append((f"tracking_3d_{cls}_{mode}_poses", "tracking.py", poses))
        out.append((f"bytetrack_{cls}", "bytetrack_loop.py", ["--cls", cls]))
        out.append((f"ab3dmot_{cls}", "ab3dmot_loop.py", ["--cls", cls]))
    out.append(("robustness", "tracking_robustness.py", ["--mode", "offline"]))
    out.append(("robustness_online", "tracking_robustness.py", ["--mode", "online"]))
    out.append(("scaling", "scaling.py", ["--frames", "60"]))
    out.append(("cluster_fleet", "cluster.py", ["--only", "fleet"]))
    out.append(("cluster_scheduler", "cluster.py", ["--only", "scheduler"]))
    return out


def record(name: str, script: str, options: list[str], data: list[str]) -> None:
    """Run one and write its file; paths of this machine stay out of it."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder) / "out.json"
        command = [sys.executable, str(HERE / script), *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(
            [*command, *data, "--json", str(numbers)], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        results = json.loads(numbers.read_text())
    kept = {
        "benchmark": " ".join([script, *options]),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | versions(),
        "results": results,
    }
    (HERE / "results" / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")


def cpu_name() -> str:
    """As the system calls it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of the packages that matter here and are installed."""
    installed = {package.metadata["Name"]: package.version for package in importlib.metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}


if __name__ == "__main__":
    main()
