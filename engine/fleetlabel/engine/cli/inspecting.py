"""Commands that look at a store: ``info``, ``eval``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.ingest import GROUND_TRUTH
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import SequenceStore
from fleetlabel.store import describe as describe_store

Version = Annotated[
    str | None, typer.Option("--labels", help="Which label version.", show_default="the newest")
]


def info(store: opt.StoreArg, as_json: opt.Json = False) -> None:
    """Tell what a store holds, with a content hash over everything committed."""
    opened = SequenceStore.open(store)
    described = describe_store(opened)
    if as_json:
        print(json.dumps(described.to_dict(), indent=1))
        return
    console = _console()
    sensors = ", ".join(f"{sensor['name']} ({sensor['kind']})" for sensor in described.sensors)
    console.print(
        f"{described.name}: {described.frames} frames, {described.bytes_on_disk / 1e6:,.1f} MB", markup=False
    )
    console.print(f"sensors: {sensors}", markup=False)
    console.print(f"labels: {', '.join(described.label_versions) or 'none'}", markup=False)
    for tombstone in opened.tombstones():
        console.print(f"deleted: {tombstone}", markup=False)
    table = Table("table", "samples", "parts", "rows", "quarantined", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in described.tables:
        samples = f"{line.committed:,}" + ("" if line.committed == line.samples else f" of {line.samples:,}")
        table.add_row(
            Text(line.path, overflow="fold"),
            samples,
            str(line.parts),
            f"{line.rows:,}",
            str(line.quarantined or ""),
        )
    console.print(table)
    console.print(f"content hash: {described.content_hash}")


def evaluate(
    store: opt.StoreArg,
    labels: Version = None,
    rules: Annotated[
        str, typer.Option(help="visible: objects a sensor could see; kitti: KITTI's rules.")
    ] = "visible",
    min_points: Annotated[
        int, typer.Option(min=1, help="Lidar points that an object needs to count (visible rules).")
    ] = 5,
    as_json: opt.Json = False,
) -> None:
    """Measure a label version against the source's ground truth."""
    from fleetlabel.engine.evaluate import evaluate as evaluate_store

    opened = SequenceStore.open(store)
    version = labels or opened.latest_labels().name
    if labels is None and version == GROUND_TRUTH:
        raise StoreNotFoundError(
            f"{store} has no labels but its ground truth; make some with `fleetlabel run`"
        )
    report = evaluate_store(opened, version, rules=rules, min_points=min_points)
    if as_json:
        print(json.dumps(report.to_dict(), indent=1))
    else:
        report.print(_console())


def _console() -> Console:
    """Tables of numbers need room: a pipe has no width of its own."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
