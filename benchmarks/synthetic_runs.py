"""What the benchmarks on synthetic drives share: drives that no network was trained on, labelled and measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from fleetlabel.engine.detect import DetectConfig
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.engine.synth import SynthConfig, write_drive
from fleetlabel.store import SequenceStore
from record import cpu_name

# The bundled detector was trained on seeds from a million on, and looked at on 500..519.
HELD_OUT_SEEDS = (601, 602, 603)
NEAR_M = [0.0, 40.0]


def drive_of(seed: int, work: Path) -> Path:
    """The rig folder of a seed's drive of 20 s, made if it is not there yet."""
    folder = work / f"seed_{seed}"
    if not folder.exists():
        write_drive(SynthConfig(seed=seed), folder, workers=len(os.sched_getaffinity(0)))
    return folder


def labelled(
    drive: Path, store: Path, model: Path, imgsz_px: int | None = None
) -> tuple[SequenceStore, str, float]:
    """The whole job on a drive: its store, the label version, and frames per second of this call."""
    detect = DetectConfig(imgsz_px=imgsz_px)
    outcome = pipeline.run(drive, RunConfig(out=store, existing=Existing.RESUME, model=model, detect=detect))
    assert outcome.labels is not None
    ledger = outcome.ledger
    return SequenceStore.open(store), outcome.labels, ledger.frames / ledger.wall_s


def near_row(report: dict[str, Any], section: str, cls: str) -> dict[str, Any]:
    """Scores of a class within 40 m; empty where there is no such object."""
    rows = report["sections"].get(section, ())
    found: dict[str, Any] = next(
        (row for row in rows if row["class"] == cls and row["range_m"] == NEAR_M), {}
    )
    return found


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "python": platform.python_version()}
