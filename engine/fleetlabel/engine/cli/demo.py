"""``demo``: the whole job on a drive that nobody drove, with nothing but this package."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetlabel.engine.cli.progress import StageBars, part_bar
from fleetlabel.engine.cli.reporting import write_page
from fleetlabel.engine.detect.bundled import BUNDLED
from fleetlabel.engine.ingest.rig_schema import RIG_FILE
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.engine.synth import SynthConfig, write_drive
from fleetlabel.model.errors import InterruptedRunError, UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.store.durable import make_folder, write_file

DRIVE, STORE, PAGE, SETTINGS = "drive", "drive.zarr", "report.html", "demo.json"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where everything goes.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, max=(1 << 63) - 1, help="Of the synthetic drive.")] = 0,
    duration: Annotated[
        float, typer.Option(min=0.1, max=36_000.0, metavar="SECONDS", help="Of the synthetic drive.")
    ] = 20.0,
) -> None:
    """Make a synthetic drive, label it with the bundled detector, measure the labels, write a report."""
    make_demo(out, SynthConfig(seed=seed, duration_s=duration), Path(BUNDLED))
    print("\n".join(what_next(out)))


def make_demo(out: Path, config: SynthConfig, model: Path) -> None:
    """Does whatever the folder still lacks, and says so line by line.

    Args:
        out: gets the drive as a rig folder, its store, and the page.
        model: weights that label it.

    Raises:
        UsageError: the folder holds the demo of another drive, or something else.
        InterruptedRunError: Ctrl-C; the same call goes on.
    """
    _claim(out, config, model)
    try:
        _generate(out / DRIVE, config)
        labels = _label(out, model)
        _tell_how_right(out, labels)
    except (KeyboardInterrupt, InterruptedRunError) as error:
        raise InterruptedRunError(
            f"interrupted; what was finished is kept in {out}, and the same command goes on"
        ) from error


def _claim(out: Path, config: SynthConfig, model: Path) -> None:
    """Notes which demo a folder holds, so that a later call goes on with that and nothing else."""
    wanted = json.dumps({"drive": config.model_dump(mode="json"), "model": str(model)}, indent=1).encode()
    note = out / SETTINGS
    if note.exists():
        if note.read_bytes() != wanted:
            raise UsageError(f"{out} holds the demo of another drive; delete it or give another --out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is no demo; give another --out")
    else:
        make_folder(out)
        write_file(note, wanted)


def _generate(folder: Path, config: SynthConfig) -> None:
    if (folder / RIG_FILE).exists():
        print(f"drive:   there already, {folder}")
        return
    started_s = time.perf_counter()
    n_sensors = config.n_cameras + config.n_lidars
    with part_bar(config.n_frames * n_sensors, "drive") as bar:
        write_drive(
            config,
            folder,
            workers=len(os.sched_getaffinity(0)),
            on_range=lambda _, start, stop: bar.advance(bar.task_ids[0], stop - start),
        )
    took_s = time.perf_counter() - started_s
    print(
        f"drive:   {config.n_frames} frames of {config.n_cameras} cameras and lidar in {took_s:.0f} s, {folder}"
    )


def _label(out: Path, model: Path) -> str:
    """Runs the main job; returns the label version."""
    with StageBars() as bars:
        outcome = pipeline.run(
            out / DRIVE, RunConfig(out=out / STORE, existing=Existing.RESUME, model=model), bars
        )
    assert outcome.labels is not None
    for warning in outcome.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    done = outcome.ledger
    if done.stages:
        rate = done.frames / done.wall_s
        print(f"labels:  {outcome.labels} in {done.wall_s:.0f} s ({rate:.1f} frames/s), {out / STORE}")
    else:
        print(f"labels:  there already, {outcome.labels} in {out / STORE}")
    return outcome.labels


def _tell_how_right(out: Path, labels: str) -> None:
    """Measures and writes the page, and prints the numbers that it begins with."""
    started_s = time.perf_counter()
    accuracy = write_page(out / PAGE, SequenceStore.open(out / STORE), labels)
    took_s = time.perf_counter() - started_s
    print(f"report:  measured against the truth in {took_s:.0f} s, {out / PAGE}")
    if accuracy is not None:
        for name, value in _headline(accuracy):
            print(f"         {name}: {value:.2f}")


def _headline(accuracy: dict[str, Any]) -> list[tuple[str, float]]:
    """The scores of cars to look at first."""
    wanted = {
        "3D car 0-40 m ap_2m": "cars within 40 m, AP@2m in 3D",
        "2D car 0-40 m hota": "cars in pictures, HOTA",
    }
    found = accuracy["headline"]
    return [(words, found[name]) for name, words in wanted.items() if found.get(name) is not None]


def what_next(out: Path) -> list[str]:
    """Commands that work as they stand, each with what it is for."""
    fleetlabel = _own_name()
    store = shlex.quote(str(out / STORE))
    middle = min(SequenceStore.open(out / STORE).info.n_frames // 2, 50)

    def beside(name: str) -> str:
        return shlex.quote(str(out / name))

    lines = [
        "",
        f"Open {out / PAGE} in a browser. Then try:",
        f"  {fleetlabel} render {store} --frame {middle} --against ground_truth --out {beside('frame.png')}",
    ]
    if find_spec("av") is not None:
        lines.append(f"  {fleetlabel} render {store} --frames 0:{2 * middle} --out {beside('clip.mp4')}")
    lines += [
        f"  {fleetlabel} eval {store}",
        f"  {fleetlabel} export {store} --out {beside('kitti')}",
        f"  {fleetlabel} info {store}",
        "",
        f"Your own data: describe it by a {RIG_FILE} like that in {out / DRIVE}, and check it:",
        f"  {fleetlabel} validate {beside(DRIVE)}",
        "The bundled detector knows synthetic streets only. On real pictures use real weights:",
        f"  {fleetlabel} run YOUR_DRIVE --model yolo11n.pt --out your_drive.zarr",
    ]
    return lines


def _own_name() -> str:
    """How this program is called from here: by its name where that finds it, else by its path."""
    found = shutil.which("fleetlabel")
    me = Path(sys.argv[0])
    if found is not None and me.exists() and Path(found).samefile(me):
        return "fleetlabel"
    return (
        shlex.quote(str(me))
        if me.name == "fleetlabel"
        else f"{shlex.quote(sys.executable)} -m fleetlabel.engine.cli"
    )
