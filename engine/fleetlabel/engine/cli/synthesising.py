"""``synth``: a synthetic drive as a rig folder or a store."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.progress import part_bar
from fleetlabel.engine.synth import SynthConfig, SyntheticDrive, parse_fault, stream_drive, write_drive
from fleetlabel.model.errors import UsageError
from fleetlabel.model.sensors import SensorKind

_DEFAULT = SynthConfig()
_LARGEST_PX = 4096


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The rig folder, or the store.")],
    seed: Annotated[
        int, typer.Option(help="Of world, sensors and noise; the same seed gives the same bytes.")
    ] = 0,
    duration: Annotated[float, typer.Option(metavar="SECONDS", help="Length of the drive.")] = 20.0,
    cameras: Annotated[int, typer.Option(metavar="N", help="Cameras, 1 to 12.")] = _DEFAULT.n_cameras,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the pictures, in pixels.")] = "960x540",
    lidars: Annotated[int, typer.Option(metavar="N", help="Lidars, 1 to 4.")] = _DEFAULT.n_lidars,
    beams: Annotated[int, typer.Option(metavar="N", help="Beams of each lidar.")] = _DEFAULT.n_beams,
    inject: Annotated[
        list[str] | None, typer.Option(metavar="FAULT", help="Break something on purpose; may be repeated.")
    ] = None,
    store: Annotated[
        bool, typer.Option("--store", help="Stream into a store instead of a rig folder.")
    ] = False,
    overwrite: opt.Overwrite = False,
    workers: opt.Workers = None,
) -> None:
    """Make a synthetic drive with exactly known truth: a street, traffic, cameras and lidar."""
    config = _config(
        seed=seed,
        duration_s=duration,
        n_cameras=cameras,
        size_px=_size(size),
        n_lidars=lidars,
        n_beams=beams,
        faults=tuple(map(parse_fault, inject or [])),
    )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one process is needed")
    processes = workers or len(os.sched_getaffinity(0))
    started_s = time.perf_counter()
    with part_bar(config.n_frames * (config.n_cameras + config.n_lidars), "synth") as bar:
        make = stream_drive if store else write_drive
        drive = make(
            config,
            out,
            workers=processes,
            overwrite=overwrite,
            on_range=lambda _, a, b: bar.advance(bar.task_ids[0], b - a),
        )
    _tell(drive, out, time.perf_counter() - started_s, store)


def _config(**settings: object) -> SynthConfig:
    names = {
        "duration_s": "--duration",
        "n_cameras": "--cameras",
        "n_lidars": "--lidars",
        "n_beams": "--beams",
    }
    try:
        return SynthConfig.model_validate(settings)
    except ValidationError as error:
        complaints = [
            f"{names.get(str(e['loc'][0]), '--' + str(e['loc'][0]))} {e['input']}: {e['msg']}"
            for e in error.errors()
        ]
        raise UsageError("; ".join(complaints)) from error


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 32 <= min(size) <= max(size) <= _LARGEST_PX:
        raise UsageError(
            f"--size {text!r}: expected WIDTHxHEIGHT from 32 to {_LARGEST_PX} pixels, such as 960x540"
        )
    return size


def _tell(drive: SyntheticDrive, out: Path, wall_s: float, store: bool) -> None:
    n_frames, n_cameras = drive.info.n_frames, len(drive.info.of_kind(SensorKind.CAMERA))
    print(
        f"{drive.info.name}: {n_frames} frames of {n_cameras} cameras in {wall_s:.1f} s, "
        f"{n_frames / wall_s:.1f} frames/s per camera -> {out}"
    )
    for fault in drive.info.source["injected"]:
        of = f" of {fault['sensor']}" if fault["sensor"] else ""
        print(f"broken on purpose: {fault['kind']}{of} {fault['amount']:g}: {fault['effect']}")
    if store:
        print(f"next: fleetlabel prelabel {out} --model synthetic, then lift and track")
    else:
        print(f"next: fleetlabel run {out} --model synthetic --out {out.with_suffix('.zarr')}")
