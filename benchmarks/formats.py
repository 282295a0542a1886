"""How fast label versions are exported, read in again, and how much memory that takes, by number of boxes.

    python benchmarks/formats.py [--boxes 100000 1000000] [--only FORMAT] [--json FILE]

Half of the boxes are cuboids, half are in the pictures of one camera; formats that have one kind are given that many of
it. Each export is a process of its own, whose peak resident memory the operating system reports; what the process
takes without any box is subtracted. An export includes the loss report and the certificate: the files are read in
again and compared, box by box.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.exchange import FORMATS, StoredLabels, WritableFormat, export_labels, writable_format
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceInfo, SequenceStore

BOXES_PER_FRAME = 250
FRAMES_PER_TRACK = 100
CAMERA = "front"
_ROW = "{:14} {:>10} {:>7} {:>9} {:>9} {:>8} {:>9} {:>9}"
_FORWARD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def make_store(root: Path, n_cuboids: int, n_pictures: int) -> None:
    """A store with labels ``made``: tracks of 100 frames ahead of the vehicle, upright."""
    n_frames = -(-max(n_cuboids, n_pictures) // BOXES_PER_FRAME)
    times = 1_700_000_000_000_000_000 + 100_000_000 * np.arange(n_frames, dtype=np.int64)
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (n_frames, 1))
    poses[:, 0] = np.arange(n_frames)
    camera = PinholeCamera(1920, 1080, 1000.0, 1000.0, 960.0, 540.0)
    front = Sensor(CAMERA, SensorKind.CAMERA, se3.transform(_FORWARD, np.zeros(3)), camera)
    store = SequenceStore.create(root, SequenceInfo("bench", (front,), times, Trajectory(times, poses)))
    status = np.full(n_frames, SampleStatus.MISSING, dtype=np.uint8)
    nothing = {"jpeg": np.empty(0, dtype=np.uint8)}
    no_pictures = Part({"timestamp_ns": times, "status": status}, np.zeros(n_frames, dtype=np.int64), nothing)
    store.sensor_table(CAMERA).write(0, no_pictures)
    random = np.random.default_rng(0)
    flat = {}
    if n_pictures:
        common = columns(n_pictures, times)
        corner = random.uniform(0, 1, (n_pictures, 2)) * (1700, 900)
        edges = np.concatenate([corner, corner + random.uniform(5, 170, (n_pictures, 2))], axis=1)
        flat[CAMERA] = Boxes2D(class_names=("Car", "Pedestrian"), xyxy_px=edges, **common)
    solid = None
    if n_cuboids:
        common = columns(n_cuboids, times)
        center = np.stack([random.uniform(8, 80, n_cuboids), random.uniform(-5, 5, n_cuboids)], axis=1)
        center[:, 0] += common["frame"]
        solid = Boxes3D(
            class_names=("Car", "Pedestrian"),
            center_m=np.concatenate([center, random.normal(0, 0.2, (n_cuboids, 1))], axis=1),
            size_lwh_m=random.uniform(0.5, 5, (n_cuboids, 3)),
            q_wxyz=quaternion.from_yaw(random.uniform(-np.pi, np.pi, n_cuboids)),
            **common,
        )
    store.write_labels("made", flat, solid, class_names=("Car", "Pedestrian"), provenance={})


def columns(n: int, times: AnyArray) -> dict[str, Any]:
    """What all boxes have."""
    random = np.random.default_rng(1)
    frame = np.arange(n) // BOXES_PER_FRAME
    track = frame // FRAMES_PER_TRACK * BOXES_PER_FRAME + np.arange(n) % BOXES_PER_FRAME
    return {
        "frame": frame,
        "timestamp_ns": times[frame],
        "class_id": track % 2,
        "track_id": track,
        "score": random.random(n),
        "source": np.full(n, Source.SMOOTHED),
        "occlusion": random.integers(-1, 4, n),
    }


def export_once(name: str, store: str, out: str) -> None:
    """In a process of its own: exports, and prints what it took."""
    started_s = time.perf_counter()
    report = export_labels(
        StoredLabels(SequenceStore.open(Path(store)), "made"), writable_format(name), Path(out), "made"
    )
    elapsed_s = time.perf_counter() - started_s
    written = [file.stat().st_size for file in Path(out).rglob("*") if file.is_file()]
    print(
        json.dumps(
            {"s": elapsed_s, "peak_mib": peak_mib(), "file_mb": sum(written) / 1e6, **summary(report.report)}
        )
    )


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """Boxes, how many came back, and the largest errors of a certificate."""
    found = report["certificate"].values()
    return {
        "boxes": sum(part["exported"] for part in found),
        "came_back": sum(part["came_back"] for part in found),
        "max_corner_error_m": max((part.get("max_corner_error_m", 0.0) for part in found), default=0.0),
        "max_edge_error_px": max((part.get("max_edge_error_px", 0.0) for part in found), default=0.0),
    }


def peak_mib() -> float:
    """Peak resident memory of this process; what getrusage says begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def in_a_process(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Every format at every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--only", choices=[*FORMATS], help="just this format")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("FORMAT", "STORE", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        export_once(*args.one)
        return
    rows = []
    print(_ROW.format("format", "boxes", "s", "boxes/s", "peak MiB", "MB", "corner m", "edge px"))
    for format in FORMATS.values():
        if not isinstance(format, WritableFormat) or args.only not in (None, format.name):
            continue
        for n in args.boxes:
            with tempfile.TemporaryDirectory() as folder:
                solid, flat = bool(format.carries.cuboids), bool(format.carries.pictures)
                share = n // (solid + flat)
                make_store(Path(folder) / "empty.zarr", BOXES_PER_FRAME * solid, BOXES_PER_FRAME * flat)
                make_store(Path(folder) / "store.zarr", share * solid, share * flat)
                base = in_a_process("--one", format.name, f"{folder}/empty.zarr", f"{folder}/none")
                row = in_a_process("--one", format.name, f"{folder}/store.zarr", f"{folder}/out")
            row |= {"format": format.name, "peak_mib": row["peak_mib"] - base["peak_mib"]}
            rows.append(row)
            errors = [f"{row[name]:.1e}" for name in ("max_corner_error_m", "max_edge_error_px")]
            speed, peak, size = (
                f"{row['boxes'] / row['s']:,.0f}",
                f"{row['peak_mib']:.0f}",
                f"{row['file_mb']:.1f}",
            )
            print(
                _ROW.format(format.name, f"{row['boxes']:,}", f"{row['s']:.1f}", speed, peak, size, *errors),
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
