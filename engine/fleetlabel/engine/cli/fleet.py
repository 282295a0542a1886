"""Labels for many drives at once (``run`` with several sources) and ``status``, which tells how far they are."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.exit_codes import FAILED, QUARANTINED
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.model.errors import UsageError
from fleetlabel.store.object_path import place_of

if TYPE_CHECKING:
    from fleetlabel.engine.fleet.estimate import Estimate
    from fleetlabel.engine.fleet.failures import Group
    from fleetlabel.engine.fleet.root import Ended
    from fleetlabel.engine.fleet.run import FleetOutcome
    from fleetlabel.engine.fleet.workplace import Workplace

_SHOWN = 10
_SILENT_S = 60.0


def label_fleet(sources: Sequence[str], config: RunConfig, as_json: bool) -> None:
    """Labels all drives of the sources. Exits 1 if some failed, 3 if some frames could not be used."""
    from fleetlabel.engine.fleet.run import run_fleet

    with FleetBar() as bar:
        outcome = run_fleet(sources, config, observer=bar)
    if as_json:
        print(json.dumps(outcome.to_dict(), indent=1))
    else:
        _print_outcome(outcome, _retry(sources, outcome))
    if outcome.failures:
        raise typer.Exit(FAILED)
    if outcome.quarantined:
        raise typer.Exit(QUARANTINED)


def status(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="ROOT",
            help="The folder of a fleet's stores, also s3://.",
            parser=place_of,
            show_default=False,
        ),
    ],
    as_json: opt.Json = False,
) -> None:
    """Tell how far a run over many drives is, while it runs or after."""
    from fleetlabel.engine.fleet.status import look

    seen = look(root)
    if as_json:
        print(json.dumps(seen.to_dict(), indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    by = f" by {seen.driver}" if seen.driver else ""
    silent_s = (time.time_ns() - seen.news.get("updated_ns", time.time_ns())) / 1e9
    if seen.state == "running" and silent_s > _SILENT_S:  # on another host, nobody can tell whether it lives
        by += f", last heard of {_duration(silent_s)} ago"
    died = "; its driver is gone: go on with the same command and --resume" if seen.state == "died" else ""
    console.print(f"{seen.root}: {seen.state}{by}{died}", markup=False)
    if seen.state == "failed" and seen.news.get("reason"):
        console.print(f"  {seen.news['reason']}", style="red", markup=False)
    deleted = f", {seen.deleted} deleted on purpose" if seen.deleted else ""
    console.print(
        f"{seen.sequences} sequences: {seen.done} done, {len(seen.unfinished)} begun, {seen.waiting} waiting, "
        f"{seen.failed} failed{deleted}; {seen.frames:,} frames labelled, {seen.quarantined} samples quarantined"
    )
    if seen.state == "running" and seen.news.get("frames_per_s"):
        console.print(_rate(seen.news), markup=False)
    if seen.unfinished:
        stages = list(dict.fromkeys(stage for one in seen.unfinished for stage in one.stages))
        table = Table("begun", *stages, box=None, header_style="bold")
        for one in seen.unfinished[:_SHOWN]:
            cells = [one.stages.get(stage) for stage in stages]
            table.add_row(one.name, *(f"{100 * cell[0] / cell[1]:.0f} %" if cell else "" for cell in cells))
        console.print(table)
        if len(seen.unfinished) > _SHOWN:
            console.print(f"... and {len(seen.unfinished) - _SHOWN} more")
    _print_failures(console, seen.failures)


class FleetBar:
    """One bar over a fleet's frames, on stderr; without a terminal, only what is said once."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.fields[sequences]}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._id = self._bar.add_task("", total=None, sequences="starting", rate="")

    def __enter__(self) -> FleetBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begun(self, expected: Estimate, workplace: Workplace) -> None:
        """Says what is to be done, where, and about how long it takes."""
        takes = ""
        if expected.detect_s is not None:
            takes = f", of which detection alone takes about {_duration(expected.detect_s)}"
        counted = "".join(
            f"{number:,} {what}, "
            for what, number in (("frames", expected.frames), ("pictures", expected.pictures))
            if number
        )
        self._console.print(
            f"{expected.sequences} sequences, about {counted}{expected.n_bytes / 1e9:,.2f} GB{takes}, on "
            f"{workplace.description}",
            markup=False,
        )
        if workplace.dashboard:
            self._console.print(f"dashboard: {workplace.dashboard}", markup=False)

    def turn(self, snapshot: Mapping[str, Any]) -> None:
        """Moves the bar."""
        self._bar.update(
            self._id,
            total=snapshot["frames_total"] or None,
            completed=snapshot["frames"],
            sequences=f"{snapshot['done']}/{snapshot['sequences']} sequences, {snapshot['failed']} failed",
            rate=_rate(snapshot) if snapshot["frames_total"] else "",
        )

    def ended(self, ended: Ended) -> None:
        """Says why a sequence failed, as soon as it does."""
        if ended.cause is not None:
            self._console.print(f"failed: {ended.name}: {ended.reason}", style="red", markup=False)


def _rate(news: Mapping[str, Any]) -> str:
    left = "" if news["left_s"] is None else f", {_duration(news['left_s'])} left"
    return (
        f"{news['frames']:,} of {news['frames_total']:,} frames, {news['frames_per_s']:,.1f} frames/s{left}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _print_outcome(outcome: FleetOutcome, retry: str | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    whole_s = sum(stage["wall_s"] for stage in outcome.stages.values()) or 1.0
    table = Table("stage", "tasks", "frames", "boxes", "ms/frame", "share", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, stage in outcome.stages.items():
        each = f"{1e3 * stage['wall_s'] / stage['frames']:.2f}" if stage["frames"] else ""
        table.add_row(
            name,
            f"{stage['tasks']:,}",
            f"{stage['frames']:,}" if stage["frames"] else "",
            f"{stage['boxes']:,}" if stage["boxes"] else "",
            each,
            f"{100 * stage['wall_s'] / whole_s:.1f} %",
        )
    console.print(table)
    rate = outcome.frames / outcome.wall_s if outcome.wall_s else 0.0
    console.print(
        f"{outcome.done} of {outcome.sequences} sequences, {outcome.frames:,} frames in {_duration(outcome.wall_s)} "
        f"({rate:,.1f} frames/s) on {outcome.slots} workers -> {outcome.root}",
        markup=False,
    )
    if outcome.quarantined:
        console.print(
            f"{outcome.quarantined} samples are quarantined; `fleetlabel info` of a store counts them"
        )
    if outcome.warnings:
        console.print(
            f"{outcome.warnings} sequences have warnings: {outcome.root}/.fleet/journal.jsonl", markup=False
        )
    for deleted in outcome.deleted:
        console.print(f"left out: {deleted}", markup=False)
    _print_failures(console, outcome.failures)
    if retry:
        console.print(f"again, those that failed: {retry}", markup=False)


def _print_failures(console: Console, failures: Sequence[Group]) -> None:
    for group in failures:
        some = ", ".join(group.names[:_SHOWN]) + (", ..." if len(group.names) > _SHOWN else "")
        console.print(f"failed, {len(group.names)}: {group.cause}", style="red", markup=False)
        console.print(f"  {some}\n  {group.example}", markup=False)


def _retry(sources: Sequence[str], outcome: FleetOutcome) -> str | None:
    """The command that labels the drives that failed, with the options of this one."""
    if outcome.failed_list is None:
        return None
    same = [argument for argument in sys.argv[2:] if argument not in (*sources, "--resume", "--overwrite")]
    return shlex.join(["fleetlabel", "run", f"@{outcome.failed_list}", *same, "--resume"])


def parse_needs(text: str | None) -> dict[str, float] | None:
    """``GPU=1,MEMORY=2e9`` as amounts by name.

    Raises:
        UsageError: it is no such text.
    """
    if text is None:
        return None
    needs = {}
    for part in text.split(","):
        name, _, amount = part.partition("=")
        try:
            needs[name.strip()] = float(amount)
        except ValueError as error:
            raise UsageError(
                f"--detect-needs {text!r} is not NAME=AMOUNT; write for example GPU=1"
            ) from error
    return needs
