"""The command ``next``: where in the labels a look is worth most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fleetlabel.engine.cli import options as opt
from fleetlabel.store import SequenceStore

Where = Annotated[
    Path,
    typer.Argument(
        metavar="STORE|ROOT", help="A sequence's store, or a folder of stores.", show_default=False
    ),
]


def next_(
    where: Where,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Who goes there: nobody else is sent to these objects for a while."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many places.")] = 1,
    iou: Annotated[
        float,
        typer.Option("--iou", min=0.5, max=0.95, help="Overlap with the truth below which a box is wrong."),
    ] = 0.7,
    as_json: opt.Json = False,
) -> None:
    """Tell which boxes are most worth a look, and why."""
    from fleetlabel.engine.fleet.stores import find_stores, living
    from fleetlabel.labels import Labels, Queue, next_items, ranked_together

    stores = [SequenceStore.open(path) for path in living(find_stores(where))]
    queues = [Queue(Labels.open(store), iou=iou) for store in stores if store.label_versions()]
    if person is None:
        items = [item for (_, item), _ in zip(ranked_together(queues), range(count), strict=False)]
    else:
        items = next_items(queues, person, count)
    progress = [queue.progress for queue in queues]
    boxes, wrong = sum(p.boxes for p in progress), sum(p.expected_wrong for p in progress)
    done = all(p.done for p in progress)
    if as_json:
        told = {
            "items": [item.to_json() for item in items],
            "boxes": boxes,
            "expected_wrong": round(wrong, 2),
        }
        print(json.dumps({**told, "done": done}, indent=1))
        return
    for item in items:
        where_ = f"{item.object_id}@{item.frame}" + (f"/{item.camera}" if item.camera else "")
        print(
            f"{item.sequence} {where_}: mends {item.fixes:.1f} boxes in {item.seconds:.1f} s, {item.wrong:.0%} likely "
            f"wrong: {item.reason}"
        )
    share = wrong / boxes if boxes else 0.0
    print(f"{wrong:.0f} of {boxes} boxes ({share:.1%}) are expected to be wrong{': done' if done else ''}")
