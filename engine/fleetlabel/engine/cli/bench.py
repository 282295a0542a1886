"""``bench``: how fast this machine labels a drive, step by step, against what it could do at most."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.labeling import detect_flags
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.model.errors import UsageError
from fleetlabel.store.object_path import ObjectPath, place_of

if TYPE_CHECKING:
    from fleetlabel.engine.bench import Bench

SYNTHETIC = "synthetic"


class _DriveFirst(TyperGroup):
    """``bench DRIVE`` is ``bench run DRIVE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


bench = typer.Typer(
    cls=_DriveFirst,
    help="How fast this machine labels: `bench DRIVE --model WEIGHTS` measures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SavedArg = Annotated[Path, typer.Argument(metavar="FILE", help="What `bench DRIVE --json FILE` wrote.")]


@bench.command()
def run(
    drive: Annotated[
        str,
        typer.Argument(
            metavar="DRIVE",
            help=f"A store, a drive log, or `{SYNTHETIC}`: a drive of six cameras and a lidar that is made now.",
            show_default=False,
        ),
    ],
    model: opt.Model = None,
    sequence: opt.Sequence = None,
    cameras_only: Annotated[
        bool, typer.Option("--cameras-only", help="Without lidars: decode, detect, track in pictures, store.")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Measured times through the drive.")] = 3,
    warm_up: Annotated[int, typer.Option(min=0, help="Times before that.")] = 1,
    price_per_hour: Annotated[
        float | None, typer.Option(min=0.0, help="Of this machine; for the cost of 1,000 frames and boxes.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help=f"Length of the drive that `{SYNTHETIC}` makes.")
    ] = 5.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Keep the measurement.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="The same as one page.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where scratch stores go: the disk that is measured."),
    ] = None,
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
) -> None:
    """Measure the labelling of a drive; `fleetlabel bench DRIVE` is short for this. The drive is left as it is."""
    from fleetlabel.engine.bench import measure
    from fleetlabel.engine.bench.page import write_page

    flags = {
        "model": model,
        "sequence": sequence,
        "chunk_frames": chunk_frames,
        "workers": workers,
        **detect_flags(imgsz, tiles, conf, backend, device, precision, batch),
    }
    settings = load_config(config, flags)
    if html_file is not None and html_file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--html {html_file} is no page; give it a name that ends in .html")
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    with _drive(drive, seconds, work) as place:
        found = measure(
            place,
            settings,
            repeats=repeats,
            warm_up=warm_up,
            cameras_only=cameras_only,
            price_per_hour=price_per_hour,
            work_folder=work,
            on_pass=lambda what: errors.print(what, style="dim") if errors.is_terminal else None,
        )
    for warning in found.warnings:
        errors.print("warning:", warning, style="yellow", markup=False)
    _show(found)
    if json_file is not None:
        found.write(json_file)
    if html_file is not None:
        write_page(html_file, found)


@bench.command()
def compare(first: _SavedArg, second: _SavedArg) -> None:
    """Set two measurements of the same work against each other; of different work it refuses to."""
    from fleetlabel.engine.bench import compare as compared
    from fleetlabel.engine.bench import load_bench

    found = compared(load_bench(first), load_bench(second))
    console = Console(highlight=False, soft_wrap=True)
    table = _table("", first.name, second.name, "ratio")
    for name, (a, b) in found.numbers.items():
        table.add_row(name, f"{a:,.3g}", f"{b:,.3g}", f"{b / a:.2f}" if a else "")
    console.print(table)
    for name, (one, other) in found.means.items():
        console.print(f"{name}: {one} and {other}", markup=False)


@bench.command()
def predict(
    drive: opt.SourceArg,
    measured: Annotated[
        Path,
        typer.Option("--from", metavar="FILE", help="A measurement on this machine (`bench DRIVE --json`)."),
    ],
    sequence: opt.Sequence = None,
    as_json: opt.Json = False,
) -> None:
    """Tell how long an unseen drive or store will take with a measurement's settings, and how much it will hold."""
    from fleetlabel.engine.bench import load_bench
    from fleetlabel.engine.bench import predict as predicted

    found = predicted(drive, load_bench(measured), sequence)
    if as_json:
        print(json.dumps(asdict(found), indent=1))
        return
    print(f"{found.sizes.frames} frames of {found.sizes.cameras} cameras and {found.sizes.lidars} lidars")
    if found.ingest_s is not None:
        print(f"ingest: {found.ingest_s:.1f} s")
    print(f"labels: {found.label_s:.1f} s")
    print(f"store:  {found.store_bytes / 1e6:,.1f} MB")


@contextmanager
def _drive(named: str, seconds: float, work: Path | None) -> Iterator[Path]:
    """The drive that is meant; a synthetic one is there as long as the context."""
    if named != SYNTHETIC or Path(named).exists():
        place = place_of(named)
        if isinstance(place, ObjectPath):
            raise UsageError(f"{named} is on object storage; copy it to a local folder first")
        yield place
        return
    from fleetlabel.engine.synth import SynthConfig, stream_drive

    with tempfile.TemporaryDirectory(prefix="fleetlabel-bench-", dir=work) as folder:
        root = Path(folder) / "synthetic.zarr"
        stream_drive(SynthConfig(duration_s=seconds), root, workers=len(os.sched_getaffinity(0)))
        yield root


def _show(found: Bench) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = _table(
        "step", "frames", "frames/s of a core", "ms p50", "ms p99", "core-s", "bytes/frame", "share"
    )
    for line in found.steps:
        table.add_row(
            line.step,
            f"{line.frames:,}" if line.frames else "",
            f"{line.frames_per_s:,.0f}" if line.frames and line.core_s > 0 else "",
            "" if line.ms_p50 is None else f"{line.ms_p50:.3f}",
            "" if line.ms_p99 is None else f"{line.ms_p99:.3f}",
            f"{line.core_s:.3f}",
            f"{line.n_bytes / line.frames:,.0f}" if line.n_bytes and line.frames else "",
            f"{100 * line.share:.1f} %",
        )
    console.print(table)
    limit = ", ".join(f"{name} {ms:.2f}" for name, ms in found.limit_core_ms.items())
    lines = [
        f"{found.work['sequence']}: {found.sizes.pictures} pictures, {found.pictures_per_s:.1f} pictures/s, "
        f"{found.frames_per_s:.1f} frames/s; median of {len(found.repeats)}, spread {100 * found.spread:.0f} %",
        f"efficiency {found.efficiency:.3f} of the limit, {found.unavoidable:.3f} of the core time used; core-ms per "
        f"picture that cannot be avoided: {limit}",
        f"{found.how['backend']} {found.how['device']} {found.how['precision']}; the first time took "
        f"{found.first_s:.2f} s, the others {found.wall_s:.2f} s; most memory {found.peak_bytes / 2**20:.0f} MiB",
    ]
    if found.ingest is not None:
        rate = found.ingest["n_bytes"] / found.ingest["wall_s"] / 1e6
        lines.append(f"ingest {found.ingest['wall_s']:.2f} s, {rate:.0f} MB/s")
    if found.gpu is not None:
        lines.append(f"{found.gpu['name']}: used {100 * found.gpu['use']:.0f} % of the time")
    if found.costs is not None:
        costs = ", ".join(
            f"{cost:.4g} for {name.replace('1000_', '1,000 ')}" for name, cost in found.costs.items()
        )
        lines.append(f"cost: {costs}")
    for line_ in lines:
        console.print(line_, markup=False)


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table
