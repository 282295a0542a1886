"""What intake checks say of clean drives and of drives with one known fault: synthetic ones, and the real sample.

    python benchmarks/checks.py clean --seeds 101-120     # no fault: every warning is a false alarm
    python benchmarks/checks.py faults --seeds 101-104    # the generator's own faults, one at a time
    python benchmarks/checks.py real --store drive.zarr   # a real drive as it is, and with faults put in
    python benchmarks/checks.py time --store drive.zarr   # what it costs
    python benchmarks/checks.py table [--write]           # of results/checks.json, for the README

Each call replaces its own rows of results/checks.json. Thresholds were set on seeds below 100; these are others.
``--cache FOLDER`` keeps what was rendered.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.checks import CHECKS, Finding, IntakeReport, StoredRecording, Verdict, run_checks
from fleetlabel.engine.checks.explained import LATE_S, TURNED_RAD, explained, stands_out
from fleetlabel.engine.checks.inspection import Inspection
from fleetlabel.engine.checks.testing import RenderedRecording, TamperedRecording, Tampering
from fleetlabel.engine.synth import SynthConfig, WorldConfig, parse_fault
from fleetlabel.engine.synth.world_config import Daylight
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus, SequenceStore

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "checks.json"
BEGIN, END = "<!-- table: checks.py table --write -->\n", "<!-- end of checks -->\n"
FAULTS = {  # fault -> check, word, number, what it should be (None: counted in the data)
    "camera-offset:front=50ms": ("clocks", "clock-offset", "offset_ms", 50.0),
    "camera-offset:front_left=50ms": ("clocks", "clock-offset", "offset_ms", 50.0),
    "extrinsic:front=0.5deg": ("extrinsics", "extrinsic", "turned_deg", 0.5),
    "extrinsic:back=0.5deg": ("extrinsics", "extrinsic", "turned_deg", 0.5),
    "lost-sweeps:lidar=5%": ("rates", "dropped", "lost_percent", None),
    "frozen:front_right=from:80": ("pictures", "frozen", "first_frame", 81.0),
    "pose-jump=0.5m": ("poses", "pose-jump", "jump_m", 0.5),
}
NOISE_M, NOISE_DEG = 0.03, 0.02  # of every other drive's poses: no navigation system is perfect


def main() -> None:
    """One kind of run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("clean", "faults", "real", "time", "table"))
    parser.add_argument("--seeds", default="", help="first-last")
    parser.add_argument("--store", type=Path, help="an ingested drive")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    args = parser.parse_args()
    if args.what == "table":
        table(args.write)
        return
    with tempfile.TemporaryDirectory() as scratch:
        cache = args.cache or Path(scratch)
        if args.what in ("clean", "faults"):
            first, _, last = args.seeds.partition("-")
            seeds = range(int(first), int(last or first) + 1)
            rows = (clean if args.what == "clean" else faults)(seeds, cache)
        else:
            rows = (real if args.what == "real" else timing)(SequenceStore.open(args.store))
        for row in rows:
            keep(args.what, row)
            print(json.dumps(row), flush=True)


def config(seed: int, *injected: str) -> SynthConfig:
    """A drive of a seed: light and noise of the poses go through all there are."""
    light = list(Daylight)[seed % len(Daylight)]
    noisy = seed % 2 == 1
    return SynthConfig(
        seed=seed,
        duration_s=12.0,
        n_cameras=4,
        world=WorldConfig(light=light),
        position_noise_m=NOISE_M if noisy else 0.0,
        heading_noise_deg=NOISE_DEG if noisy else 0.0,
        faults=tuple(parse_fault(text) for text in injected),
    )


def clean(seeds: range, cache: Path) -> Iterator[dict[str, Any]]:
    """Drives without a fault."""
    for seed in seeds:
        drive = config(seed)
        report = run_checks(RenderedRecording(drive, cache))
        yield {
            "key": str(seed),
            "light": str(drive.world.light),
            "noise_m": drive.position_noise_m,
            "alarms": [said(one) for one in report.faults],
            "untold": sum(one.verdict is Verdict.UNKNOWN for one in report.findings),
        }


def faults(seeds: range, cache: Path) -> Iterator[dict[str, Any]]:
    """Drives with one fault of the generator's each."""
    for seed in seeds:
        for text, (check, word, number, expected) in FAULTS.items():
            drive = config(seed, text)
            recording = RenderedRecording(drive, cache)
            sensor = drive.faults[0].sensor or "ego"
            if expected is None:
                expected = 100 * float(np.mean(recording.status(sensor) != SampleStatus.OK))
            report = run_checks(recording)
            yield {"key": f"{seed} {text}", **compared(report, check, sensor, word, number, expected)}


def real(store: SequenceStore) -> Iterator[dict[str, Any]]:
    """A real drive as it is, and with faults put into its times, calibration, poses and pictures."""
    recording = StoredRecording(store)
    cameras = [sensor.name for sensor in store.info.of_kind(SensorKind.CAMERA)]
    lidar = store.info.of_kind(SensorKind.LIDAR)[0].name
    axis = np.array([0.6, 0.7, 0.4]) / np.linalg.norm([0.6, 0.7, 0.4])
    tampered = {  # of all cameras at once: each is measured by itself
        "as it is": Tampering(),
        "50 ms late": Tampering(late_s=dict.fromkeys(cameras, 0.05)),
        "turned by 0.5 degrees": Tampering(turned_rad=dict.fromkeys(cameras, np.radians(0.5) * axis)),
    }
    for what, tampering in tampered.items():
        inspection = Inspection(TamperedRecording(recording, tampering))
        for camera in cameras:
            yield {"key": f"{camera} {what}", **measured(inspection, camera, lidar)}
    lost = np.array([5, 11, 12]) % store.info.n_frames
    share = 100 * len(lost) / store.info.n_frames
    yield {"key": "as it is", "alarms": [said(one) for one in run_checks(recording).faults]}
    for key, tampering, named in (
        (f"lost-sweeps:{lidar}", Tampering(lost={lidar: lost}), ("rates", lidar, "dropped", "lost_percent", share)),
        (f"frozen:{cameras[0]}=from:10", Tampering(frozen={cameras[0]: 10}),
         ("pictures", cameras[0], "frozen", "first_frame", 11.0)),
        ("pose-jump=0.5m", Tampering(jump_m=0.5), ("poses", "ego", "pose-jump", "jump_m", 0.5)),
    ):  # fmt: skip
        yield {"key": key, **compared(run_checks(TamperedRecording(recording, tampering)), *named)}


def measured(inspection: Inspection, camera: str, lidar: str) -> dict[str, Any]:
    """What one camera is told to have against one lidar, and whether that is certain enough to be named."""
    told = explained(inspection, inspection.pair(camera, lidar))
    row: dict[str, Any] = {}
    if told.rotation is not None:
        row["turned_deg"] = round(float(np.degrees(np.linalg.norm(told.rotation.value))), 2)
        row["turn_named"] = stands_out(told.rotation, TURNED_RAD)
    if told.late is not None:
        row["offset_ms"] = round(1e3 * float(told.late.value[0]), 1)
        row["offset_named"] = stands_out(told.late, LATE_S)
    return row


def timing(store: SequenceStore) -> Iterator[dict[str, Any]]:
    """Seconds of every check, on a store."""
    started = time.perf_counter()
    inspection = Inspection(StoredRecording(store))
    spent: dict[str, float] = {}
    for check in CHECKS:
        before = time.perf_counter()
        check.run(inspection)
        spent[check.name] = round(time.perf_counter() - before, 2)
    info = store.info
    length_s = float(info.frame_timestamp_ns[-1] - info.frame_timestamp_ns[0]) / 1e9
    wall = round(time.perf_counter() - started, 1)
    yield {"key": info.name, "drive_s": round(length_s, 1), "wall_s": wall, "checks": spent}


def compared(
    report: IntakeReport, check: str, sensor: str, word: str, number: str, expected: float
) -> dict[str, Any]:
    """Whether the fault was named, with what value, and what else was."""
    named = [one for one in report.faults if (one.check, one.subject, one.fault) == (check, sensor, word)]
    value = named[0].values[number] if named else None
    return {
        "named": bool(named),
        "value": value,
        "expected": expected,
        "error_percent": None if value is None else round(100 * abs(value / expected - 1), 1),
        "others": [said(one) for one in report.faults if one not in named],
    }


def said(finding: Finding) -> str:
    """A finding in a line."""
    return f"{finding.verdict} {finding.check} {finding.subject} {finding.fault}: {finding.text}"


def keep(what: str, row: dict[str, Any]) -> None:
    """Puts a row into the results, in the place of the one with its key."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept = {one["key"]: one for one in results.get(what, [])} | {row["key"]: row}
    results[what] = [kept[key] for key in sorted(kept)]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def table(write: bool) -> None:
    """The results in a few lines."""
    results = json.loads(RESULTS.read_text())
    cleans = results.get("clean", [])
    alarmed = [row for row in cleans if row["alarms"]]
    lines = ["| drives | fault | named | largest error | other alarms |", "| --- | --- | --- | --- | --- |"]
    lines.append(f"| {len(cleans)} synthetic, clean | none | | | {len(alarmed)} of {len(cleans)} |")
    for text in FAULTS:
        rows = [row for row in results.get("faults", []) if row["key"].endswith(f" {text}")]
        if rows:
            lines.append(_line(f"{len(rows)} synthetic", text, rows))
    reals = results.get("real", [])
    as_it_is = [row for row in reals if "alarms" in row]
    lines.extend(f"| PandaSet, 2.4 s, as it is | none | | | {len(row['alarms'])} |" for row in as_it_is)
    lines.extend(_line("PandaSet", row["key"], [row]) for row in reals if "named" in row)
    text = "\n".join(lines) + "\n"
    if not write:
        print(text, end="")
        return
    path = HERE / "README.md"
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + text + END + rest.split(END, 1)[1])


def _line(drives: str, fault: str, rows: list[dict[str, Any]]) -> str:
    errors = [row["error_percent"] for row in rows if row["named"]]
    named = sum(row["named"] for row in rows)
    worst = f"{max(errors):.0f} %" if errors else ""
    others = sum(bool(row["others"]) for row in rows)
    return f"| {drives} | {fault} | {named} of {len(rows)} | {worst} | {others} |"


if __name__ == "__main__":
    main()
