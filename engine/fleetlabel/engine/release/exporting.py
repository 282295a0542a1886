"""A release as files that training code loads: labels of every drive in one format, split by split."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from fleetlabel.engine.exchange import WritableFormat, export_labels
from fleetlabel.engine.exchange.writing import REPORT, new_bytes, new_folder, new_text, write_json_object
from fleetlabel.engine.release.labels import ReleasedLabels
from fleetlabel.engine.release.layouts import (
    PARTS,
    FolderPerSplit,
    KittiObjectLayout,
    KittiTrackingLayout,
    Layout,
    MotLayout,
    WrittenDrive,
    YoloLayout,
)
from fleetlabel.engine.release.manifest import Manifest
from fleetlabel.engine.release.merging import CocoLayout, DatumaroLayout, NuScenesLayout, ScalabelLayout
from fleetlabel.engine.release.pictures import labelled_pictures, write_pictures
from fleetlabel.engine.release.verifying import open_released
from fleetlabel.store import SequenceStore

_LAYOUTS: Mapping[str, type[Layout]] = {
    "coco": CocoLayout,
    "yolo": YoloLayout,
    "kitti": KittiTrackingLayout,
    "kitti-object": KittiObjectLayout,
    "nuscenes": NuScenesLayout,
    "mot": MotLayout,
    "datumaro": DatumaroLayout,
    "scalabel": ScalabelLayout,
}


@dataclass(slots=True)
class ExportedRelease:
    """What was written.

    Attributes:
        loads: how training code opens it, in words.
        drives: by split.
        boxes: exported, by split.
        lost: what the format cannot say, in boxes: (of what, column, how) -> boxes.
        not_back: boxes that did not come back when the files were read again.
        corner_m, edge_px: largest errors of those that did.
        picture_bytes: written.
        left_out: label files of pictures that are missing, or that nobody looked at.
    """

    loads: str = ""
    drives: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)
    lost: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    not_back: int = 0
    corner_m: float = 0.0
    edge_px: float = 0.0
    picture_bytes: int = 0
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        lost = [
            {"of": of, "column": column, "how": how, "boxes": n} for (of, column, how), n in self.lost.items()
        ]
        return told | {"lost": lost}


def export_release(
    release: Manifest,
    root: Path,
    format: WritableFormat,
    out: Path,
    *,
    pictures: bool = False,
    on_drive: Callable[[], None] = lambda: None,
) -> ExportedRelease:
    """Writes all drives of a release into a new folder, with ``loss_report.json`` for each of them.

    Beside the format's files are ``splits.json`` (names of drives by split) and ``release.json``, the manifest. Memory
    grows neither with boxes nor, but for some kB each, with drives.

    Args:
        root: folder of the stores.
        pictures: whether to write pictures as well, as they came.
        on_drive: called after each drive.

    Raises:
        StoreExistsError: the folder is there already.
        CorruptStoreError: a store is not what was frozen.
        StoreWriteError: the file system refused.
    """
    new_folder(out)
    done, reports = ExportedRelease(), dict[str, Any]()
    with _LAYOUTS.get(format.name, FolderPerSplit)(release, out) as layout:
        for split in release.shares:
            for name, drive in release.in_split(split).items():
                store = open_released(root, name, drive)
                labels = ReleasedLabels(store, drive.labels, release, name)
                folder = layout.folder(split)
                report = export_labels(labels, format, folder, drive.labels).report
                frames = {c: labelled_pictures(store, drive.labels, c) for c in labels.cameras}
                written = WrittenDrive(labels, split, folder, frames)
                layout.add(written)
                if pictures:
                    done.picture_bytes += _write_pictures(store, layout, written)
                (folder / REPORT).unlink()
                shutil.rmtree(out / PARTS, ignore_errors=True)
                reports[written.name] = {"split": split, **report}
                _tally(done, split, report)
                on_drive()
    done.loads, done.left_out = layout.loads.replace("NAME", release.name), layout.left_out
    with new_text(out / REPORT) as file:
        write_json_object(file, reports.items())
    with new_text(out / "splits.json") as file:
        names = {
            split: [name for name in reports if reports[name]["split"] == split] for split in release.shares
        }
        json.dump(names, file, indent=1)
    with new_bytes(out / "release.json") as copy:
        copy.write(release.to_bytes())
    return done


def _write_pictures(store: SequenceStore, layout: Layout, drive: WrittenDrive) -> int:
    written = 0
    for camera, frames in drive.frames.items():
        written += write_pictures(store, camera, frames, partial(layout.picture, drive.name, camera))
    return written


def _tally(done: ExportedRelease, split: str, report: Mapping[str, Any]) -> None:
    done.drives[split] += 1
    for loss in report["lost"]:
        of = "cuboids" if loss["of"] == "cuboids" else "boxes in pictures"
        done.lost[of, loss["column"], loss["how"]] += loss["boxes"]
    for found in report["certificate"].values():
        done.boxes[split] += found["exported"]
        done.not_back += found["exported"] - found["came_back"]
        done.corner_m = max(done.corner_m, found.get("max_corner_error_m", 0.0))
        done.edge_px = max(done.edge_px, found.get("max_edge_error_px", 0.0))
