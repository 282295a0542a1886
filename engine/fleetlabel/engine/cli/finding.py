"""``find``: drives of a fleet by vehicle, time, place, what is in them, and what people made of them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.moments import parse_moment
from fleetlabel.engine.cli.progress import part_bar
from fleetlabel.model.errors import UsageError

if TYPE_CHECKING:
    from fleetlabel.engine.fleet.catalogue import Answer, Found, Query

_CLASSES_SHOWN = 4


class Review(StrEnum):
    """How far people are with a drive's labels."""

    UNLABELLED = "unlabelled"
    UNREVIEWED = "unreviewed"
    IN_REVIEW = "in-review"
    REVIEWED = "reviewed"


class Check(StrEnum):
    """What ``verify`` said of a store as it is now."""

    OK = "ok"
    DAMAGED = "damaged"
    UNCHECKED = "unchecked"


class Intake(StrEnum):
    """What checks of a drive said."""

    PASS = "pass"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"
    UNCHECKED = "unchecked"


NameOption = Annotated[
    str | None, typer.Option("--name", help="Of the drive; * and ? stand for anything.", show_default=False)
]
VehicleOption = Annotated[
    str | None, typer.Option("--vehicle", help="That drove; * and ? stand for anything.", show_default=False)
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Frames at or after: 2026-11-24T10:00:00Z, or ns."),
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Frames before this time.")]
NearOption = Annotated[
    str | None,
    typer.Option("--near", metavar="LAT,LON,METRES", help="Came at least so close, e.g. 52.52,13.405,300."),
]
WithinOption = Annotated[
    str | None,
    typer.Option("--within", metavar="SOUTH,WEST,NORTH,EAST", help="Went through this box, in degrees."),
]
MinOption = Annotated[
    list[str] | None, typer.Option("--min", metavar="CLASS=N", help="At least N objects of a class.")
]
MinBoxesOption = Annotated[
    list[str] | None, typer.Option("--min-boxes", metavar="CLASS=N", help="At least N boxes of a class.")
]
ReviewOption = Annotated[Review | None, typer.Option("--review", help="How far people are with the labels.")]
CheckOption = Annotated[
    Check | None, typer.Option("--check", help="What `verify ROOT` said of the store as it is now.")
]
IntakeOption = Annotated[
    Intake | None,
    typer.Option("--intake", help="What checks said of the drive when it was ingested, or `check` since."),
]
QuarantinedOption = Annotated[
    bool | None,
    typer.Option("--quarantined/--no-quarantined", help="Has samples that could not be used."),
]


def find(
    root: opt.StoresArg,
    name: NameOption = None,
    vehicle: VehicleOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    near: NearOption = None,
    within: WithinOption = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Labels have such objects; may be repeated.")
    ] = None,
    least: MinOption = None,
    least_boxes: MinBoxesOption = None,
    review: ReviewOption = None,
    check: CheckOption = None,
    intake: IntakeOption = None,
    quarantined: QuarantinedOption = None,
    as_json: opt.Json = False,
) -> None:
    """Find drives among the stores of a folder; all that is asked for must hold."""
    from fleetlabel.engine.fleet.catalogue import find as look

    query = query_of(
        name,
        vehicle,
        start,
        stop,
        near,
        within,
        classes,
        least,
        least_boxes,
        review,
        check,
        quarantined,
        intake,
    )
    with part_bar(0, "index") as bar:
        answer = look(root, query, lambda: bar.advance(bar.task_ids[0]))
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    for unreadable, problem in answer.unreadable.items():
        errors.print("warning:", f"{unreadable} cannot be read: {problem}", style="yellow", markup=False)
    if answer.placeless:
        errors.print(
            f"{len(answer.placeless)} drives do not say where on Earth they were and are left out",
            markup=False,
        )
    if as_json:
        print(json.dumps({"root": str(root), "found": [_json(one) for one in answer.found]}, indent=1))
    else:
        _print(root, answer)


def query_of(
    name: str | None,
    vehicle: str | None,
    start: str | None,
    stop: str | None,
    near: str | None,
    within: str | None,
    classes: list[str] | None,
    least: list[str] | None,
    least_boxes: list[str] | None,
    review: Review | None,
    check: Check | None,
    quarantined: bool | None,
    intake: Intake | None = None,
) -> Query:
    """What a command's options ask for.

    Raises:
        UsageError: one of them cannot be understood.
    """
    from fleetlabel.engine.fleet.catalogue import Query

    return Query(
        name=name,
        vehicle=vehicle,
        start_ns=parse_moment(start),
        stop_ns=parse_moment(stop),
        box=_numbers(within, 4, "--within"),  # type: ignore[arg-type]
        near=_numbers(near, 3, "--near"),  # type: ignore[arg-type]
        classes=tuple(classes or ()),
        least_objects=_amounts(least, "--min"),
        least_boxes=_amounts(least_boxes, "--min-boxes"),
        review=review,
        check=check,
        intake=intake,
        quarantined=quarantined,
    )


def _print(root: Path, answer: Answer) -> None:
    # Tables need room: a pipe has no width of its own.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    columns = ("drive", "begins", "s", "frames", "vehicle", "objects", "review", "intake", "check")
    table = Table(*columns, box=None, header_style="bold")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for found in answer.found:
        entry = found.entry
        begins = datetime.fromtimestamp(entry.start_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        objects = sorted((entry.objects or {}).items(), key=lambda one: -one[1])
        some = ", ".join(f"{count} {name}" for name, count in objects[:_CLASSES_SHOWN])
        table.add_row(
            Text(entry.name, overflow="fold"),
            begins,
            f"{(entry.stop_ns - entry.start_ns) / 1e9:,.1f}",
            f"{entry.frames:,}",
            Text(entry.vehicle or ""),
            Text(some + (", ..." if objects[_CLASSES_SHOWN:] else "")),
            entry.review,
            entry.intake or "unchecked",
            found.check,
        )
    if answer.found:
        console.print(table)
    console.print(f"{len(answer.found)} of {answer.stores} drives in {root}", markup=False)


def _json(found: Found) -> dict[str, Any]:
    values = asdict(found.entry) | {"check": found.check, "store": str(found.store)}
    del values["problem"]
    return values


def _numbers(text: str | None, count: int, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise UsageError(f"{option} {text!r} is not {count} numbers with commas between them")
    return numbers


def _amounts(texts: list[str] | None, option: str) -> dict[str, int]:
    amounts = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        if not name or not number.isdecimal():
            raise UsageError(
                f"{option} {text!r} is not CLASS=NUMBER; write for example {option} pedestrian=20"
            )
        amounts[name] = int(number)
    return amounts
