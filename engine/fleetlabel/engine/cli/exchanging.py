"""Commands that move labels between a store and other tools' files: ``export``, ``import``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetlabel.engine.cli import options as opt
from fleetlabel.store import SequenceStore

EXPORTS = "kitti, kitti-object, nuscenes, coco, yolo, mot, cvat, openlabel, scalabel, datumaro or parquet"


def export(
    store: opt.StoreArg,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", "-f", help=f"Format to write: {EXPORTS}.")] = "kitti",
    labels: Annotated[
        str | None,
        typer.Option("--labels", "--version", help="Which label version.", show_default="the newest"),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Write a label version in another tool's format; loss_report.json says what that cannot carry."""
    from fleetlabel.engine.exchange import StoredLabels, export_labels, writable_format

    chosen = writable_format(format)
    opened = SequenceStore.open(store)
    version = labels or opened.latest_labels().name
    exported = export_labels(StoredLabels(opened, version), chosen, out, version)
    if as_json:
        print(json.dumps({"out": str(out), **exported.report}, indent=1))
        return
    print("\n".join([*exported.notes, *_lost(exported.report), *_certified(exported.report)]))


def import_(
    store: opt.StoreArg,
    files: Annotated[
        Path,
        typer.Argument(
            metavar="FILES", help="A label file, or the folder that holds them.", show_default=False
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", help=f"Their format: {EXPORTS}, or nuscenes-results.", show_default=False
        ),
    ],
    camera: Annotated[
        str | None,
        typer.Option(help="Camera that the boxes are of, where the files do not say.", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the label version.", show_default="the format and a hash of the files"),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Read other tools' label files onto a store, as a label version of their own."""
    from fleetlabel.engine.exchange import format_named, import_labels

    chosen = format_named(format)
    opened = SequenceStore.open(store)
    with opened.writer_lock():
        version, found = import_labels(opened, chosen, files, camera=camera, name=name)
    boxes = {camera: len(boxes) for camera, boxes in found.pictures.items()}
    if found.cuboids is not None:
        boxes["cuboids"] = len(found.cuboids)
    if as_json:
        print(json.dumps({"labels": version.name, "boxes": boxes, "skipped": list(found.skipped)}, indent=1))
        return
    print(f"labels {version.name}: " + ", ".join(f"{count:,} {of}" for of, count in boxes.items()))
    for line in found.skipped:
        print(f"left out: {line}")


def _lost(report: dict[str, Any]) -> list[str]:
    """What the format cannot carry, by column, over all cameras."""
    counts: dict[tuple[str, str, str], int] = {}
    for loss in report["lost"]:
        of = "cuboids" if loss["of"] == "cuboids" else "boxes in pictures"
        key = (of, loss["column"], loss["how"])
        counts[key] = counts.get(key, 0) + loss["boxes"]
    return [f"{column} of {count:,} {of}: {how}" for (of, column, how), count in counts.items()]


def _certified(report: dict[str, Any]) -> list[str]:
    lines = []
    for of, found in report["certificate"].items():
        error = (
            f"corners within {found['max_corner_error_m']:.1e} m"
            if of == "cuboids"
            else f"edges within {found['max_edge_error_px']:.1e} px"
        )
        changed = "".join(f", {name} changed in {count:,}" for name, count in found["changed"].items())
        lines.append(f"read in again: {found['came_back']:,} of {found['exported']:,} {of}, {error}{changed}")
    return lines
