"""``gc``: what runs cost, and which of them nothing needs any more."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleetlabel.engine.cli import options as opt
from fleetlabel.store import SequenceStore

if TYPE_CHECKING:
    from fleetlabel.engine.fleet.gc import Holding

_SHOWN = 40


def gc(
    path: opt.StoresArg,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    superseded: Annotated[
        bool,
        typer.Option(
            "--superseded",
            help="Also labels that newer ones replaced and that nobody named, edited or built on.",
        ),
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Tell what each run costs and what needs it; take away runs that nothing needs."""
    from fleetlabel.engine.fleet.gc import collect, survey
    from fleetlabel.engine.fleet.stores import find_stores, living, nobody_drives

    holdings: list[Holding] = []
    if dry_run:
        for store in living(find_stores(path)):
            holdings += survey(SequenceStore.open(store), superseded=superseded)
    else:
        with nobody_drives(path):
            for store in living(find_stores(path)):
                holdings += collect(SequenceStore.open(store), superseded=superseded)
    free = [holding for holding in holdings if not holding.pinned_by]
    if as_json:
        document = {
            "removed" if not dry_run else "removable": [holding.to_dict() for holding in free],
            "kept": [holding.to_dict() for holding in holdings if holding.pinned_by],
            "bytes": sum(holding.n_bytes for holding in free),
        }
        print(json.dumps(document, indent=1))
        return
    _print(path, holdings, free, dry_run)


def _print(path: Path, holdings: Sequence[Holding], free: Sequence[Holding], dry_run: bool) -> None:
    # Tables need room: a pipe has no width of its own.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    # Of one store, everything is told; of a fleet, what goes.
    alone = len({holding.store for holding in holdings}) <= 1
    shown = holdings if alone else free
    table = Table("run", "age", "MB", "differs in", "kept for", box=None, header_style="bold")
    table.columns[1].justify = table.columns[2].justify = "right"
    for holding in shown[:_SHOWN]:
        where = "" if alone else f"{holding.store.name} "
        table.add_row(
            f"{where}{holding.stage} {holding.name}",
            _age(holding.created_ns),
            f"{holding.n_bytes / 1e6:,.1f}",
            _difference(holding, holdings),
            "; ".join(holding.pinned_by) or "nothing",
        )
    if shown:
        console.print(table)
    if len(shown) > _SHOWN:
        console.print(f"... and {len(shown) - _SHOWN} more; --json lists all")
    verb = "would be taken away" if dry_run else "taken away"
    console.print(
        f"{path}: {len(free)} of {len(holdings)} runs {verb}, {sum(h.n_bytes for h in free) / 1e6:,.1f} MB",
        markup=False,
    )


def _age(created_ns: int) -> str:
    minutes = max(0, time.time_ns() - created_ns) // 60_000_000_000
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= size:
            return f"{minutes // size} {unit}"
    return f"{minutes} min"


def _difference(holding: Holding, holdings: Sequence[Holding]) -> str:
    """Parameters in which a run differs from the newest one of its stage in its store."""
    stage = [other for other in holdings if (other.store, other.stage) == (holding.store, holding.stage)]
    newest = max(stage, key=lambda other: other.created_ns)
    if newest is holding:
        return ""
    mine, its = _flat(holding.made), _flat(newest.made)
    return ", ".join(f"{name} {mine.get(name)}" for name in mine if mine.get(name) != its.get(name))


def _flat(made: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(made, dict):
        return {name: made}
    return {key: value for inner in made for key, value in _flat(made[inner], inner).items() if key != "run"}
