"""Commands that make labels: ``ingest``, ``prelabel``, ``lift``, ``track``, and ``run``, which is all of them."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.exit_codes import QUARANTINED
from fleetlabel.engine.cli.fleet import label_fleet, parse_needs
from fleetlabel.engine.cli.progress import StageBars
from fleetlabel.engine.fleet.sources import is_one_drive
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, load_config
from fleetlabel.model.errors import UsageError
from fleetlabel.store.object_path import place_of

_SHOWN = 20


def ingest(
    source: opt.SourceArg,
    out: opt.Out = None,
    sequence: opt.Sequence = None,
    resume: opt.Resume = False,
    overwrite: opt.Overwrite = False,
    config: opt.ConfigFile = None,
    chunk_frames: opt.ChunkFrames = None,
    workers: opt.Workers = None,
    checks: opt.Checks = None,
    as_json: opt.Json = False,
) -> None:
    """Read a drive log into a store."""
    flags = {
        "out": out,
        "existing": _existing(resume, overwrite),
        "sequence": sequence,
        "chunk_frames": chunk_frames,
        "workers": workers,
        "checks": checks,
    }
    with StageBars() as bars:
        outcome = pipeline.ingest(source, load_config(config, flags), bars)
    _report(outcome, as_json)


def prelabel(
    store: opt.StoreArg,
    model: opt.Model = None,
    detections2d: opt.Detections2D = None,
    imgsz: opt.ImageSize = None,
    tiles: opt.Tiles = None,
    conf: opt.Confidence = None,
    backend: opt.Backend = None,
    device: opt.Device = None,
    precision: opt.Precision = None,
    batch: opt.Batch = None,
    config: opt.ConfigFile = None,
    chunk_frames: opt.ChunkFrames = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
) -> None:
    """Detect 2D boxes in every camera of a store."""
    flags = {
        "model": model,
        "detections2d": detections2d,
        "chunk_frames": chunk_frames,
        "workers": workers,
        **detect_flags(imgsz, tiles, conf, backend, device, precision, batch),
    }
    with StageBars() as bars:
        outcome = pipeline.prelabel(store, load_config(config, flags), bars)
    _report(outcome, as_json)


def lift(
    store: opt.StoreArg,
    detections3d: opt.Detections3D = None,
    config: opt.ConfigFile = None,
    chunk_frames: opt.ChunkFrames = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
) -> None:
    """Turn the newest 2D detections and the lidar into cuboids."""
    flags = {"detections3d": detections3d, "chunk_frames": chunk_frames, "workers": workers}
    with StageBars() as bars:
        outcome = pipeline.lift(store, load_config(config, flags), bars)
    _report(outcome, as_json)


def track(
    store: opt.StoreArg,
    labels: opt.LabelsName = None,
    config: opt.ConfigFile = None,
    chunk_frames: opt.ChunkFrames = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
) -> None:
    """Track the newest detections and cuboids, smooth the tracks, and write a label version."""
    flags = {"labels": labels, "chunk_frames": chunk_frames, "workers": workers}
    with StageBars() as bars:
        outcome = pipeline.track(store, load_config(config, flags), bars)
    _report(outcome, as_json)


def run(
    sources: opt.SourcesArg,
    out: opt.OutOfRun = None,
    model: opt.Model = None,
    detections2d: opt.Detections2D = None,
    detections3d: opt.Detections3D = None,
    sequence: opt.Sequence = None,
    labels: opt.LabelsName = None,
    imgsz: opt.ImageSize = None,
    tiles: opt.Tiles = None,
    conf: opt.Confidence = None,
    backend: opt.Backend = None,
    device: opt.Device = None,
    precision: opt.Precision = None,
    batch: opt.Batch = None,
    resume: opt.Resume = False,
    overwrite: opt.Overwrite = False,
    config: opt.ConfigFile = None,
    chunk_frames: opt.ChunkFrames = None,
    workers: opt.Workers = None,
    cluster: opt.Cluster = None,
    threads: opt.Threads = False,
    detect_needs: opt.DetectNeeds = None,
    wait_for_workers: opt.WaitForWorkers = None,
    checks: opt.Checks = None,
    as_json: opt.Json = False,
) -> None:
    """From drive logs to tracked labels: ingest, prelabel, lift and track.

    One drive goes into the store that --out names; many go into one store each below it, on all cores or on a cluster.
    """
    flags = {
        "out": out,
        "existing": _existing(resume, overwrite),
        "sequence": sequence,
        "model": model,
        "detections2d": detections2d,
        "detections3d": detections3d,
        "labels": labels,
        "chunk_frames": chunk_frames,
        "workers": workers,
        "checks": checks,
        "fleet.cluster": cluster,
        "fleet.threads": threads or None,
        "fleet.detect_needs": parse_needs(detect_needs),
        "fleet.wait_for_workers_s": wait_for_workers,
        **detect_flags(imgsz, tiles, conf, backend, device, precision, batch),
    }
    settings = load_config(config, flags)
    alone = not (settings.fleet.cluster or settings.fleet.threads or settings.fleet.detect_needs)
    if not (alone and is_one_drive(sources, sequence, settings.out)):
        label_fleet(sources, settings, as_json)
        return
    with StageBars() as bars:
        outcome = pipeline.run(place_of(sources[0]), settings, bars)
    _report(outcome, as_json)


def detect_flags(
    imgsz: int | None,
    tiles: str | None,
    conf: float | None,
    backend: str | None,
    device: str | None,
    precision: str | None,
    batch: int | None,
) -> dict[str, Any]:
    """What a command's options say of detection, as flags for ``load_config``."""
    return {
        "detect.imgsz_px": imgsz,
        "detect.tiles": opt.parse_tiles(tiles),
        "detect.conf": conf,
        "detect.backend": backend,
        "detect.device": device,
        "detect.precision": precision,
        "detect.batch": batch,
    }


def _existing(resume: bool, overwrite: bool) -> Existing | None:
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other; choose one")
    if resume:
        return Existing.RESUME
    return Existing.OVERWRITE if overwrite else None


def _report(outcome: pipeline.Outcome, as_json: bool) -> None:
    """Says what was done, on stdout; warnings and quarantined samples on stderr. Exits 3 if there are any of those."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    for warning in outcome.warnings:
        errors.print("warning:", warning, style="yellow", markup=False)
    for place, entry in outcome.quarantined[:_SHOWN]:
        errors.print("quarantined:", f"{place}: {entry.reason}", style="yellow", markup=False)
    if len(outcome.quarantined) > _SHOWN:
        errors.print(
            f"... and {len(outcome.quarantined) - _SHOWN} more; `fleetlabel info --json` counts them"
        )
    if as_json:
        print(json.dumps(outcome.to_dict(), indent=1))
    else:
        _print_ledger(outcome)
    if outcome.quarantined:
        raise typer.Exit(QUARANTINED)


def _print_ledger(outcome: pipeline.Outcome) -> None:
    ledger = outcome.ledger
    table = Table("stage", "frames", "boxes", "ms/frame", "share", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in ledger.stages:
        boxes = f"{line.boxes:,}" if line.boxes else ""
        table.add_row(
            line.stage, f"{line.frames:,}", boxes, f"{line.ms_per_frame:.2f}", f"{100 * line.share:.1f} %"
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    rate = ledger.frames / ledger.wall_s if ledger.wall_s else 0.0
    console.print(
        f"{ledger.sequence}: {ledger.frames} frames in {ledger.wall_s:.1f} s ({rate:.1f} frames/s) "
        f"with {ledger.workers} workers -> {outcome.store}",
        markup=False,
    )
    if outcome.labels is not None:
        console.print(f"labels: {outcome.labels}", markup=False)
    console.print(f"ledger: {outcome.ledger_path}", markup=False)
