"""``verify``: whether a store, or every store of a fleet, is as it was committed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.exit_codes import FAILED
from fleetlabel.engine.cli.progress import part_bar

_SHOWN = 20


def verify(
    path: opt.StoresArg,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes at once, for many stores.", show_default="one per core"),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Read and hash all committed data again; exits 1 if any of it changed, or files lie there that do not belong."""
    from fleetlabel.engine.fleet.stores import is_fleet

    if is_fleet(path):
        _verify_fleet(path, workers or len(os.sched_getaffinity(0)), as_json)
    else:
        _verify_store(path, as_json)


def _verify_store(path: Path, as_json: bool) -> None:
    from fleetlabel.engine.fleet.verifying import check_store
    from fleetlabel.store import SequenceStore

    SequenceStore.open(path)  # what is no store, or cannot be opened, is an error and no finding
    with part_bar(0, "verify") as bar:
        seen = check_store(path, lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total))
    if as_json:
        print(json.dumps({"parts": seen.parts, "problems": list(seen.problems)}, indent=1))
    else:
        for problem in seen.problems:
            print(problem)
        print(f"{path}: {seen.parts} parts read, {len(seen.problems)} damaged")
    if seen.problems:
        raise typer.Exit(FAILED)


def _verify_fleet(path: Path, workers: int, as_json: bool) -> None:
    from fleetlabel.engine.fleet.stores import find_stores
    from fleetlabel.engine.fleet.verifying import check_fleet

    with part_bar(len(find_stores(path)), "verify") as bar:
        seen = check_fleet(path, workers, lambda one: bar.advance(bar.task_ids[0]))
    bad = [one for one in seen if one.problems]
    if as_json:
        print(json.dumps({"root": str(path), "stores": [one.to_dict() for one in seen]}, indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        table = Table("store", "parts", "problems", box=None, header_style="bold")
        for column in table.columns[1:]:
            column.justify = "right"
        for one in bad[:_SHOWN]:
            table.add_row(one.store.name, f"{one.parts:,}", str(len(one.problems)))
        if bad:
            console.print(table)
        for one in bad[:_SHOWN]:
            for problem in one.problems[:_SHOWN]:
                console.print(f"{one.store.name}: {problem}", markup=False)
        deleted = sum(one.deleted is not None for one in seen)
        console.print(
            f"{path}: {len(seen)} stores, {sum(one.parts for one in seen):,} parts read, {len(bad)} damaged"
            + (f", {deleted} deleted on purpose" if deleted else ""),
            markup=False,
        )
    if bad:
        raise typer.Exit(FAILED)
