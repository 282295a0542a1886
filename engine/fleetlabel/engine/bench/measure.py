"""Labels a drive again and again with the pipeline as it is, and writes down where the time goes."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.bench.limit import needed_core_s, pictures_of, written_once_core_s
from fleetlabel.engine.bench.machine import machine, peak_bytes, reset_peak, watching_gpu
from fleetlabel.engine.bench.predict import sizes_of
from fleetlabel.engine.bench.result import OTHER, STEPS, Bench, Repeat, Sizes, StepLine
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector, settle_detector
from fleetlabel.engine.steps import StepTime, recording
from fleetlabel.model.errors import UsageError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore, describe, input_hash
from fleetlabel.store.groups import read_group
from fleetlabel.store.linked import linked_store

# Of a detector's identity: by which means it does its work, which may differ between measurements of the same work.
_MEANS = ("backend", "backend_version", "device", "precision", "batch")


@dataclass(frozen=True, slots=True)
class _Pass:
    """One time through."""

    wall_s: float
    core_s: float
    peak_bytes: int
    steps: Sequence[StepTime]


def measure(
    drive: Path,
    config: RunConfig,
    *,
    repeats: int = 3,
    warm_up: int = 1,
    cameras_only: bool = False,
    price_per_hour: float | None = None,
    work_folder: Path | None = None,
    on_pass: Callable[[str], None] = lambda _: None,
) -> Bench:
    """Measures the labelling of a store, or of a drive log, which is ingested first.

    Args:
        drive: left as it is; a store's runs and labels are not used.
        config: as for a run; ``out`` and ``existing`` are not used.
        repeats: measured times through all of the work.
        warm_up: times through before that.
        cameras_only: leave lidars out, and with them lifting and cuboids.
        price_per_hour: of the machine, in any currency.
        work_folder: where scratch stores are made: the disk that is measured. By default the system's place.
        on_pass: is told what begins.

    Raises:
        UsageError: there are no weights, or a number is out of range.
    """
    if config.model is None or config.detections2d is not None:
        raise UsageError("a measurement needs a detector; give --model WEIGHTS and no imported detections")
    if repeats < 1 or warm_up < 0:
        raise UsageError(f"expected at least 1 repeat and 0 warm-ups, found {repeats} and {warm_up}")
    with tempfile.TemporaryDirectory(prefix="fleetlabel-bench-", dir=work_folder) as folder:
        scratch = Path(folder)
        on_pass("ingest")
        store, ingested = _ingested(drive, config, scratch / "ingested.zarr")
        sensors = [s.name for s in store.info.sensors if s.kind is SensorKind.CAMERA or not cameras_only]
        settled = settle_detector(scratch / "choices", config.model, config.detect)
        source = linked_store(store, scratch / "source.zarr", sensors)
        pictures, sizes = pictures_of(source), sizes_of(source)
        first_s, passes, limits = 0.0, [], []
        boxes: list[int] = []
        with watching_gpu() as gpu:
            for number in range(warm_up + repeats):
                measured = number >= warm_up
                on_pass(f"repeat {number - warm_up + 1}" if measured else f"warm-up {number + 1}")
                limits.append(needed_core_s(pictures, config.model, settled.choice.config, config.workers))
                root = scratch / f"pass-{number}.zarr"
                linked_store(store, root, sensors)
                done, outcome = _once(root, config, settled)
                labelled = SequenceStore.open(root)
                written_s = written_once_core_s(labelled, scratch / "written")
                limits[-1]["write"] = written_s / max(sizes.pictures, 1)
                first_s = first_s or done.wall_s
                if measured:
                    passes.append(done)
                    boxes.append(_boxes_of(outcome))
                output_bytes, document_bytes = describe(labelled).bytes_on_disk, _document_bytes(root)
                if number < warm_up + repeats - 1:
                    shutil.rmtree(root)
            limits.append(
                needed_core_s(pictures, config.model, settled.choice.config, config.workers)
                | {"write": limits[-1]["write"]}
            )
        return Bench(
            work=_work(source, settled, config),
            how={name: settled.identity[name] for name in _MEANS if name in settled.identity}
            | {
                "threads": config.detect.threads,
                "workers": config.workers,
                "chunk_frames": config.chunk_frames,
            },
            machine=machine(),
            sizes=sizes,
            repeats=tuple(_repeats(passes, limits[warm_up:], boxes, sizes, config.workers)),
            steps=_lines(passes),
            limit_core_ms={
                name: 1e3 * statistics.median(limit[name] for limit in limits) for name in limits[0]
            },
            first_s=first_s,
            output_bytes=output_bytes - describe(source).bytes_on_disk,
            document_bytes=document_bytes - _document_bytes(source.root),
            input_bytes=describe(store).bytes_on_disk,
            ingest=ingested,
            gpu=gpu or None,
            price_per_hour=price_per_hour,
            warnings=outcome.warnings,
        )


def _document_bytes(root: Path) -> int:
    return sum(
        Path(path, "zarr.json").stat().st_size for path, _, names in os.walk(root) if "zarr.json" in names
    )


def _ingested(drive: Path, config: RunConfig, root: Path) -> tuple[SequenceStore, Mapping[str, float] | None]:
    """The store of a drive: itself, or made of it, with what that took."""
    if "schema" in (read_group(drive) or {}):
        return SequenceStore.open(drive), None
    into = config.model_copy(update={"out": root, "existing": Existing.REFUSE})
    wall_s, core_s = time.perf_counter(), time.process_time()
    pipeline.ingest(drive, into)
    wall_s, core_s = time.perf_counter() - wall_s, time.process_time() - core_s
    store = SequenceStore.open(root)
    return store, {"wall_s": wall_s, "core_s": core_s, "n_bytes": float(describe(store).bytes_on_disk)}


def _once(root: Path, config: RunConfig, settled: SettledDetector) -> tuple[_Pass, pipeline.Outcome]:
    reset_peak()
    wall_s, core_s = time.perf_counter(), time.process_time()
    with recording() as steps:
        outcome = pipeline.label(root, config, settled=settled)
    wall_s, core_s = time.perf_counter() - wall_s, time.process_time() - core_s
    with suppress(OSError):
        outcome.ledger_path.unlink()
    return _Pass(wall_s, core_s, peak_bytes(), steps), outcome


def _repeats(
    passes: Sequence[_Pass],
    limits: Sequence[Mapping[str, float]],
    boxes: Sequence[int],
    sizes: Sizes,
    workers: int,
) -> list[Repeat]:
    """Passes with the limit as it was around each: one more limit than there are passes."""
    found = []
    for number, (one, n_boxes) in enumerate(zip(passes, boxes, strict=True)):
        around = [sum(limits[n].values()) for n in (number, number + 1)]
        limit_s = statistics.fmean(around) * sizes.pictures / workers
        found.append(Repeat(one.wall_s, one.core_s, one.peak_bytes, limit_s, n_boxes))
    return found


def _lines(passes: Sequence[_Pass]) -> tuple[StepLine, ...]:
    """The steps that were done, and what is left of the core time."""
    totals = {name: [sum(t.core_s for t in one.steps if t.name == name) for one in passes] for name in STEPS}
    whole_s = statistics.median(one.core_s for one in passes)
    lines = []
    for name in STEPS:
        mine = [t for one in passes for t in one.steps if t.name == name]
        if not mine:
            continue
        frames = sum(t.frames for t in mine) // len(passes)
        ms = np.repeat(
            [1e3 * t.wall_s / max(t.frames, 1) for t in mine if t.frames],
            [t.frames for t in mine if t.frames],
        )
        core_s = statistics.median(totals[name])
        p50, p99 = np.percentile(ms, [50, 99]).tolist() if len(ms) else (None, None)
        n_bytes = sum(t.n_bytes for t in mine) // len(passes)
        lines.append(StepLine(name, frames, core_s, p50, p99, n_bytes, core_s / whole_s))
    left_s = statistics.median(
        one.core_s - sum(totals[name][number] for name in STEPS) for number, one in enumerate(passes)
    )
    other = StepLine(OTHER, 0, left_s, None, None, 0, left_s / whole_s)
    return (*lines, other)


def _boxes_of(outcome: pipeline.Outcome) -> int:
    return sum(line.boxes for line in outcome.ledger.stages if line.stage == "labels")


def _work(store: SequenceStore, settled: SettledDetector, config: RunConfig) -> dict[str, Any]:
    """What was done, whoever does it by whatever means."""
    return {
        "sequence": store.info.name,
        "frames": store.info.n_frames,
        "sensors": [sensor.name for sensor in store.info.sensors],
        "input": input_hash(store),
        "detector": {name: value for name, value in settled.identity.items() if name not in _MEANS},
        "lift": config.model_dump(mode="json")["lift"],
        "track": config.model_dump(mode="json")["track"],
    }
