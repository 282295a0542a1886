"""``delete``: a drive, a sensor or a range of time, for good, leaving a tombstone."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.moments import parse_moment
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore

if TYPE_CHECKING:
    from fleetlabel.engine.fleet.deleting import Deletion

_SHOWN = 20


def delete(
    path: opt.StoresArg,
    why: Annotated[str, typer.Option("--why", help="The reason; it is kept.", show_default=False)],
    drive: Annotated[
        list[str] | None,
        typer.Option(help="Of a fleet: just this drive; may be given more than once.", show_default=False),
    ] = None,
    sensor: Annotated[str | None, typer.Option(help="Just this sensor, with what was made of it.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Just frames from here: 2026-11-24T10:00:00Z, or ns."),
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Just frames before this time.")
    ] = None,
    readmit: Annotated[
        bool, typer.Option("--readmit", help="The opposite: let what was deleted be ingested again.")
    ] = False,
    who: Annotated[
        str | None, typer.Option(help="Who says so; it is kept.", show_default="the user of this machine")
    ] = None,
    despite_releases: Annotated[
        bool, typer.Option("--despite-releases", help="Although data sets were released with it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Delete a drive, a sensor or a range of time, with everything that was derived from it.

    A tombstone is left, and nothing of it is ingested again. Exports and copies elsewhere are not touched.
    """
    from fleetlabel.engine.fleet.stores import is_fleet

    if not why.strip():
        raise UsageError("--why is empty; say why it is deleted, for whoever asks later")
    span = None if start is None and stop is None else (parse_moment(start), parse_moment(stop))
    if sensor is not None and span is not None:
        raise UsageError("--sensor and --from/--to exclude each other; delete one after the other")
    if is_fleet(path) and not drive and sensor is None and span is None:
        raise UsageError(f"{path} is a whole fleet; say what of it: --drive, --sensor, or --from and --to")
    if readmit and (sensor is not None or span is not None):
        raise UsageError(
            "--readmit concerns all that was deleted of a drive; leave out --sensor, --from and --to"
        )
    stores = _stores(path, drive)
    what = _what(stores, sensor, span)
    if not yes:
        verb = "allow to ingest again" if readmit else "delete for good"
        names = ", ".join(store.name for store in stores[:_SHOWN]) + (", ..." if stores[_SHOWN:] else "")
        if not typer.confirm(f"{verb} {what} of {len(stores)} stores ({names})?", err=True):
            raise UsageError("nothing was changed; pass --yes to go without this question")
    person = who or getpass.getuser()
    if readmit:
        _readmit(stores, as_json)
        return
    do = _doing(sensor, span, person, why, despite_releases)
    _tell(stores, [one for store in stores if (one := do(store))], what, as_json)


def _stores(path: Path, drives: Sequence[str] | None) -> list[Path]:
    from fleetlabel.engine.fleet.stores import find_stores, is_fleet

    found = find_stores(path)
    if not drives:
        return found
    if not is_fleet(path):
        raise UsageError(f"--drive is for a folder of stores; {path} is one store")
    by_name = {store.stem: store for store in found}
    unknown = [name for name in drives if name.removesuffix(".zarr") not in by_name]
    if unknown:
        raise UsageError(f"{path} has no drive {unknown[0]!r}; it has {', '.join(sorted(by_name)[:_SHOWN])}")
    return [by_name[name.removesuffix(".zarr")] for name in drives]


def _what(stores: Sequence[Path], sensor: str | None, span: tuple[int | None, int | None] | None) -> str:
    if sensor is not None:
        return f"sensor {sensor}"
    if span is not None:
        return "everything between these times"
    return "everything"


def _doing(
    sensor: str | None, span: tuple[int | None, int | None] | None, who: str, why: str, despite_releases: bool
) -> Callable[[Path], Deletion | None]:
    from fleetlabel.engine.fleet.deleting import delete_drive, delete_frames, delete_sensor

    def do(store: Path) -> Deletion | None:
        if sensor is not None:
            return delete_sensor(store, sensor, who=who, why=why, despite_releases=despite_releases)
        if span is None:
            return delete_drive(store, who=who, why=why, despite_releases=despite_releases)
        times = SequenceStore.open(store).info.frame_timestamp_ns
        start = int(times[0]) if span[0] is None else span[0]
        stop = int(times[-1]) + 1 if span[1] is None else span[1]
        return delete_frames(store, start, stop, who=who, why=why, despite_releases=despite_releases)

    return do


def _readmit(stores: Sequence[Path], as_json: bool) -> None:
    from fleetlabel.engine.fleet.deleting import readmit

    taken = {store: readmit(store) for store in stores}
    if as_json:
        told = {str(store): [one.to_dict() for one in found] for store, found in taken.items()}
        print(json.dumps({"readmitted": told}, indent=1))
        return
    for store, found in taken.items():
        for one in found:
            how = "the next run" if not one.number else "`fleetlabel run ... --overwrite`"
            print(f"{store}: {one.what} may be ingested again; {how} brings it back")


def _tell(stores: Sequence[Path], done: Sequence[Deletion], what: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"deleted": [one.to_dict() for one in done]}, indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for one in done:
        said = "was deleted before" if one.repeated else f"deleted, {one.n_bytes / 1e6:,.1f} MB less"
        console.print(f"{one.store}: {one.tombstone.what} {said}", markup=False)
    if len(done) < len(stores):
        console.print(f"{len(stores) - len(done)} stores have nothing of that time")
    console.print(f"exports, pages and copies of {what} elsewhere are not touched", markup=False)
