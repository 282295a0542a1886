"""``check``: whether a drive is fit to be labelled."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.exit_codes import FAILED
from fleetlabel.engine.cli.progress import StageBars, part_bar
from fleetlabel.engine.fleet.stores import is_store
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.store import SequenceStore
from fleetlabel.store.object_path import place_of

if TYPE_CHECKING:
    from fleetlabel.engine.checks import IntakeReport

_STYLES = {"fail": "red", "warn": "yellow", "unknown": "dim"}


def check(
    drive: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE|STORE",
            help="A drive log, or a store, which keeps what is found.",
            parser=place_of,
            show_default=False,
        ),
    ],
    sequence: opt.Sequence = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a picture of each check there.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List what is good, too.")] = False,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
) -> None:
    """Check whether a drive is fit to be labelled: rates, pictures, clocks, calibration, poses; exits 1 if not."""
    if is_store(drive):
        report = _look(SequenceStore.open(drive), pictures)
    else:
        with tempfile.TemporaryDirectory(prefix="fleetlabel-check-") as scratch:
            settings = RunConfig(out=Path(scratch) / "drive.zarr", sequence=sequence, checks=False)
            if workers is not None:
                settings = settings.model_copy(update={"workers": workers})
            with StageBars() as bars:
                store = pipeline.ingest(drive, settings, bars).store
            report = _look(SequenceStore.open(store), pictures)
    if as_json:
        print(json.dumps(report.to_dict(), indent=1))
    else:
        _print(report, every, pictures)
    if report.verdict == "fail":
        raise typer.Exit(FAILED)


def _look(store: SequenceStore, pictures: Path | None) -> IntakeReport:
    from fleetlabel.engine.checks import CHECKS, check_store

    with part_bar(len(CHECKS), "check") as bar:
        return check_store(store, lambda _: bar.advance(bar.task_ids[0]), pictures)


def _print(report: IntakeReport, every: bool, pictures: Path | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("check", "of", "verdict", "", box=None, header_style="bold")
    listed = report.findings if every else report.faults
    for one in listed:
        style = _STYLES.get(one.verdict.value, "green")
        verdict = Text(one.verdict.value, style=style)
        table.add_row(one.check, Text(one.subject), verdict, Text(one.text, overflow="fold"))
    if listed:
        console.print(table)
    untold = sum(one.verdict == "unknown" for one in report.findings)
    console.print(
        f"{report.sequence}: {report.verdict}; {len(report.findings)} looked at, {len(report.faults)} not as they "
        f"should be, {untold} that the data cannot tell",
        markup=False,
    )
    if pictures is not None:
        console.print(f"pictures: {pictures}", markup=False)
