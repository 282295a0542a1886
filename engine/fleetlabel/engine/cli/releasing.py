"""``release``: data sets frozen with their splits, written for training code, verified, compared."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleetlabel.engine.cli import finding
from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.exchanging import EXPORTS
from fleetlabel.engine.cli.exit_codes import FAILED
from fleetlabel.engine.cli.progress import part_bar
from fleetlabel.store.object_path import place_of

if TYPE_CHECKING:
    from fleetlabel.engine.release import Comparison, Created, ExportedRelease, Manifest

release = typer.Typer(
    help="Frozen data sets: drives, label versions and splits, by content.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_SHOWN = 20
ReleaseArg = Annotated[
    Path,
    typer.Argument(
        metavar="RELEASE", help="Its manifest: ROOT/releases/NAME.json.", parser=place_of, show_default=False
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="ROOT",
        help="The folder of its stores.",
        parser=place_of,
        show_default="that in which the manifest's folder is",
    ),
]


@release.command()
def create(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", help="A folder of stores.", parser=place_of, show_default=False),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the release.", show_default=False)],
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="NAME=SHARE",
            help="A split and its share of the frames; may be repeated.",
            show_default="train=0.8, val=0.1, test=0.1",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", help="Boxes of this class, numbered in this order; repeat.", show_default="all"
        ),
    ] = None,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="No boxes with a lower score.")] = 0.0,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", help="Label version, the same in all stores.", show_default="each one's newest"
        ),
    ] = None,
    place_m: Annotated[
        float | None,
        typer.Option(
            "--place-m",
            min=0.0,
            metavar="METRES",
            help="Drives that came so close to each other are in one split; 0: places do not matter.",
            show_default="50",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Another one draws other splits.", show_default="0")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE", help="Keep its splits, for drives that it has.", show_default="the newest"
        ),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Keep no splits; draw all.")] = False,
    drive: finding.NameOption = None,
    vehicle: finding.VehicleOption = None,
    start: finding.FromOption = None,
    stop: finding.ToOption = None,
    near: finding.NearOption = None,
    within: finding.WithinOption = None,
    least: finding.MinOption = None,
    least_boxes: finding.MinBoxesOption = None,
    review: finding.ReviewOption = None,
    check: finding.CheckOption = None,
    quarantined: finding.QuarantinedOption = None,
    intake: finding.IntakeOption = None,
    as_json: opt.Json = False,
) -> None:
    """Freeze drives of a fleet with their labels, in splits of which none has seen the others' places."""
    from fleetlabel.engine.release import Asked, parse_shares
    from fleetlabel.engine.release import create as freeze

    query = finding.query_of(
        drive,
        vehicle,
        start,
        stop,
        near,
        within,
        None,
        least,
        least_boxes,
        review,
        check,
        quarantined,
        intake,
    )
    shares = parse_shares(splits) if splits else None
    asked = Asked(query, labels, tuple(classes or ()), min_score, shares, seed, place_m)
    with part_bar(0, "drives") as bar:
        created = freeze(
            root, name, asked, after=after, anew=anew, on_drive=lambda: bar.advance(bar.task_ids[0])
        )
    if as_json:
        print(json.dumps(_created_json(created), indent=1))
    else:
        _print_created(created)


@release.command("list")
def list_(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", help="A folder of stores.", parser=place_of, show_default=False),
    ],
    as_json: opt.Json = False,
) -> None:
    """Tell which releases a fleet has."""
    from fleetlabel.engine.release import manifests_of

    found = manifests_of(root)
    if as_json:
        told = [{"name": one.name, "sha256": one.sha256, "splits": _splits(one)} for one in found.values()]
        print(json.dumps({"root": str(root), "releases": told}, indent=1))
        return
    console, table = _table("release", "after", "drives", "boxes", "splits", "sha256")
    for one in found.values():
        splits = _splits(one)
        table.add_row(
            one.name,
            "" if one.after is None else one.after["name"],
            str(len(one.drives)),
            f"{sum(split['boxes'] for split in splits.values()):,}",
            ", ".join(f"{split} {of['drives']}" for split, of in splits.items()),
            one.sha256[:12],
        )
    if found:
        console.print(table)
    console.print(f"{len(found)} releases in {root}", markup=False)


@release.command()
def verify(manifest: ReleaseArg, root: RootOption = None, as_json: opt.Json = False) -> None:
    """Read and hash all that a release is made of again; exits 1 if any of it is not what was frozen."""
    from fleetlabel.engine.release import verify_release

    release, stores = _opened(manifest, root)
    with part_bar(len(release.drives), "verify") as bar:
        seen = verify_release(release, stores, lambda one: bar.advance(bar.task_ids[0]))
    bad = [one for one in seen if one.problems]
    if as_json:
        print(json.dumps({"release": release.name, "drives": [asdict(one) for one in seen]}, indent=1))
    else:
        for one in bad:
            for problem in one.problems[:_SHOWN]:
                print(f"{one.name}: {problem}")
        loose = [one.name for one in seen if one.unpinned]
        if loose:
            print(f"not pinned, so gc and delete do not mind the release: {_some(loose)}")
        parts = sum(one.parts for one in seen)
        print(f"{release.name}: {len(seen)} drives, {parts:,} parts read, {len(bad)} not as they were frozen")
    if bad:
        raise typer.Exit(FAILED)


@release.command()
def export(
    manifest: ReleaseArg,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="A new folder.", show_default=False)
    ],
    format: Annotated[
        str, typer.Option("--format", "-f", help=f"Format to write: {EXPORTS}.", show_default=False)
    ],
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Pictures as well, as they came, where readers look for them.")
    ] = False,
    root: RootOption = None,
    as_json: opt.Json = False,
) -> None:
    """Write a release for training code, split by split, with loss_report.json for every drive."""
    from fleetlabel.engine.exchange import writable_format
    from fleetlabel.engine.release import export_release

    chosen = writable_format(format)
    release, stores = _opened(manifest, root)
    with part_bar(len(release.drives), format) as bar:
        done = export_release(
            release, stores, chosen, out, pictures=pictures, on_drive=lambda: bar.advance(bar.task_ids[0])
        )
    if as_json:
        print(json.dumps({"out": str(out), **done.to_dict()}, indent=1))
    else:
        _print_exported(done, release, out)


@release.command()
def diff(
    was: ReleaseArg,
    now: ReleaseArg,
    root: RootOption = None,
    as_json: opt.Json = False,
) -> None:
    """Tell what a release has otherwise than another: drives, splits, labels box by box."""
    from fleetlabel.engine.release import compare

    (one, one_root), (two, two_root) = _opened(was, root), _opened(now, root)
    with part_bar(0, "compare") as bar:
        found = compare(one, two, (one_root, two_root), lambda: bar.advance(bar.task_ids[0]))
    if as_json:
        print(json.dumps({"was": one.name, "now": two.name, **asdict(found)}, indent=1))
    else:
        _print_diff(one.name, two.name, found)


@release.command()
def drop(manifest: ReleaseArg, as_json: opt.Json = False) -> None:
    """Take a release's manifest away; what it used may go with gc and delete again. Exports stay."""
    from fleetlabel.engine.release import drop as unfreeze

    release, stores = _opened(manifest, None)
    unfreeze(stores, release)
    if as_json:
        print(json.dumps({"dropped": release.name}, indent=1))
    else:
        print(f"{release.name}: dropped, with its pins on {len(release.drives)} drives")


def _opened(path: Path, root: Path | None) -> tuple[Manifest, Path]:
    """A manifest, also without its suffix, and the folder of its stores."""
    from fleetlabel.engine.release import read_manifest

    if not path.name.endswith(".json"):
        path = path.parent / f"{path.name}.json"
    return read_manifest(path), root or path.resolve().parent.parent


# --- in words -------------------------------------------------------------------------------------------------------


def _created_json(created: Created) -> dict[str, Any]:
    return {
        "release": created.manifest.name,
        "manifest": str(created.path),
        "sha256": created.manifest.sha256,
        "after": created.manifest.after,
        "repeated": created.repeated,
        "splits": _splits(created.manifest),
        "left_out": dict(created.left_out),
        "unsaved": list(created.unsaved),
        "moved": [asdict(one) for one in created.moved],
        "placeless": _placeless(created.manifest),
    }


def _splits(release: Manifest) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    total = sum(drive.frames for drive in release.drives.values())
    for split, share in release.shares.items():
        drives = release.in_split(split).values()
        frames = sum(drive.frames for drive in drives)
        told[split] = {
            "drives": len(drives),
            "places": len({drive.group for drive in drives}),
            "frames": frames,
            "share": round(frames / total, 4) if total else 0.0,
            "asked": share,
            "boxes": sum(sum(counts.values()) for drive in drives for counts in drive.boxes.values()),
        }
    return told


def _placeless(release: Manifest) -> list[str]:
    return [name for name, drive in release.drives.items() if drive.place is None] if release.place_m else []


def _print_created(created: Created) -> None:
    release = created.manifest
    splits = _splits(release)
    console, table = _table("split", "drives", "places", "frames", "share", "asked", "boxes")
    for split, of in splits.items():
        table.add_row(
            split,
            *(f"{of[name]:,}" for name in ("drives", "places", "frames")),
            *(f"{of[name]:.0%}" for name in ("share", "asked")),
            f"{of['boxes']:,}",
        )
    console.print(table)
    for one in created.moved:
        console.print(f"moved: {one.drive} from {one.was} to {one.now}: {one.because}", markup=False)
    for warning in _warnings(created, splits):
        console.print(f"mind: {warning}", markup=False)
    verb = "is frozen already, just like this" if created.repeated else "frozen"
    after = "" if release.after is None else f", with the splits of {release.after['name']}"
    console.print(f"{created.path}: {verb}{after}; sha256 {release.sha256[:12]}", markup=False)


def _warnings(created: Created, splits: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    release = created.manifest
    empty = [split for split, of in splits.items() if not of["drives"]]
    if empty:
        yield f"{', '.join(empty)} has no drives: there are too few places that lie apart"
    off = [split for split, of in splits.items() if abs(of["share"] - of["asked"]) > 0.1 and of["drives"]]
    if off:
        groups: dict[str, int] = {}
        for drive in release.drives.values():
            groups[drive.group] = groups.get(drive.group, 0) + drive.frames
        largest = max(groups.values()) / sum(groups.values())
        yield (
            f"{', '.join(off)} is far from its share; the largest group of places has {largest:.0%} of the frames"
            + (f"; a smaller --place-m than {release.place_m:g} parts more" if release.place_m else "")
        )
    placeless = _placeless(release)
    if placeless:
        yield (
            f"{len(placeless)} of {len(release.drives)} drives do not say where they were: drives are kept apart, not "
            f"places: {_some(placeless)}"
        )
    if created.unsaved:
        yield f"edits that are in no label version are not in it (`fleetlabel save STORE`): {_some(created.unsaved)}"
    for name, why in list(created.left_out.items())[:_SHOWN]:
        yield f"{name} is left out: it {why}"


def _print_exported(done: ExportedRelease, release: Manifest, out: Path) -> None:
    console, table = _table("split", "drives", "boxes")
    for split in release.shares:
        table.add_row(split, f"{done.drives[split]:,}", f"{done.boxes[split]:,}")
    console.print(table)
    for (of, column, how), count in done.lost.items():
        console.print(f"{column} of {count:,} {of}: {how}", markup=False)
    if done.left_out:
        console.print(f"{done.left_out:,} label files left out: their pictures are missing", markup=False)
    console.print(
        f"read in again: {done.boxes.total() - done.not_back:,} of {done.boxes.total():,} boxes, corners within "
        f"{done.corner_m:.1e} m, edges within {done.edge_px:.1e} px; by drive in loss_report.json",
        markup=False,
    )
    size = (
        f"{done.picture_bytes / 1e6:,.1f} MB of pictures"
        if done.picture_bytes
        else "no pictures: --pictures writes them, too"
    )
    console.print(size)
    console.print(f"{out}: {done.loads}", markup=False)


def _print_diff(was: str, now: str, found: Comparison) -> None:
    console = Console(highlight=False, soft_wrap=True)
    lines = [f"added to {split}: {name}" for name, split in found.added.items()]
    lines += [f"removed from {split}: {name}" for name, split in found.removed.items()]
    lines += [f"moved from {one} to {two}: {name}" for name, (one, two) in found.moved.items()]
    lines += [f"other sensor data: {name}" for name in found.sensors]
    for name, labels in found.relabelled.items():
        if labels.was != labels.now or labels.problem is not None:
            why = labels.problem or ("" if labels.boxes else "no box differs")
            lines.append(f"labels of {name}: {labels.was} -> {labels.now}" + (f"; {why}" if why else ""))
    for line in lines:
        console.print(line, markup=False)
    total: dict[tuple[str, str], dict[str, int]] = {}
    for labels in found.relabelled.values():
        for kind, classes in labels.boxes.items():
            for class_name, changes in classes.items():
                of = total.setdefault((kind, class_name), {"added": 0, "removed": 0, "changed": 0})
                for what, count in changes.items():
                    of[what] += count
    if total:
        console, table = _table("boxes", "class", "added", "removed", "changed")
        for (kind, class_name), of in sorted(total.items()):
            table.add_row(kind, class_name, *(f"{count:,}" for count in of.values()))
        console.print(table)
    for setting in found.settings:
        console.print(setting, markup=False)
    if not found:
        console.print(f"{was} and {now} are the same")


def _table(*columns: str) -> tuple[Console, Table]:
    # Tables need room: a pipe has no width of its own.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
    table = Table(*columns, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return console, table


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if names[_SHOWN:] else "")
