"""Formats of which one file holds many drives: COCO, Datumaro, Scalabel, nuScenes.

What was written of a drive is read member by member and appended; only numbers that have to be unique change.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from fleetlabel.engine.exchange.writing import new_text
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.engine.release.layouts import PARTS, Layout, WrittenDrive
from fleetlabel.engine.release.manifest import Manifest


class JsonArray:
    """An array in a text file, to which items are appended."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.length = file, 0

    def extend(self, items: Iterable[Any]) -> None:
        """Appends items, one a line."""
        for item in items:
            self.file.write((",\n" if self.length else "\n") + json.dumps(item))
            self.length += 1


class CocoLayout(Layout):
    """``annotations/<split>.json``; ids of pictures and boxes count through, track ids hold within a drive's videos."""

    loads = "annotations/train.json, val.json, test.json; file names are below images/"

    def __init__(self, release: Manifest, out: Path) -> None:
        super().__init__(release, out)
        self._images = {s: JsonArray(file) for s, file in self._lists("annotations/{split}.json").items()}
        self._boxes: dict[str, JsonArray] = {}
        self._videos: dict[str, list[dict[str, Any]]] = {split: [] for split in release.shares}
        names = enumerate((*release.classes, *release.ignored_classes), start=1)
        categories = [{"id": row, "name": name, "supercategory": ""} for row, name in names]
        for split, images in self._images.items():
            info = {"description": f"{release.name} {split}", "version": release.sha256}
            head = json.dumps({"info": info, "licenses": [], "categories": categories})
            images.file.write(head[:-1] + ',\n"images": [')
            scratch = tempfile.TemporaryFile("w+", encoding="utf-8", dir=out)  # noqa: SIM115 - closed with the rest
            self._boxes[split] = JsonArray(self._open.enter_context(scratch))

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out / PARTS

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        path = drive.folder / f"{drive.name}.json"
        images, boxes, videos = self._images[drive.split], self._boxes[drive.split], self._videos[drive.split]
        first_image, first_box, first_video = images.length, boxes.length, len(videos)
        videos += [{**video, "id": first_video + video["id"]} for _, _, video in members(path, ("videos",))]
        images.extend(
            {**image, "id": first_image + image["id"], "video_id": first_video + image["video_id"]}
            for _, _, image in members(path, ("images",))
        )
        boxes.extend(
            {**box, "id": first_box + box["id"], "image_id": first_image + box["image_id"]}
            for _, _, box in members(path, ("annotations",))
        )

    def finish(self) -> None:
        """See the base class."""
        for split, images in self._images.items():
            images.file.write(f'],\n"videos": {json.dumps(self._videos[split])},\n"annotations": [')
            boxes = self._boxes[split].file
            boxes.seek(0)
            shutil.copyfileobj(boxes, images.file)
            images.file.write("]}\n")


class _OneArray(Layout):
    """A JSON file for each split, of which one array grows by what each drive has in it."""

    file_name: str
    drive_name: str
    array: str

    def __init__(self, release: Manifest, out: Path) -> None:
        super().__init__(release, out)
        self._items: dict[str, JsonArray] = {}
        for split, file in self._lists(self.file_name).items():
            self._items[split] = JsonArray(file)
            file.write(f'{json.dumps(self.head())[:-1]},\n"{self.array}": [')

    def head(self) -> dict[str, Any]:
        """What the file says before the array."""
        raise NotImplementedError

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out / PARTS

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        path = drive.folder / self.drive_name.format(drive.name)
        self._items[drive.split].extend(item for _, _, item in members(path, (self.array,)))

    def finish(self) -> None:
        """See the base class."""
        for items in self._items.values():
            items.file.write("]}\n")


class DatumaroLayout(_OneArray):
    """``annotations/<split>.json``: splits are Datumaro's subsets."""

    loads = "Dataset.import_from(FOLDER, 'datumaro'); splits are its subsets"
    file_name, drive_name, array = "annotations/{split}.json", "annotations/{}.json", "items"

    def head(self) -> dict[str, Any]:
        """See the base class."""
        names = (*self.release.classes, *self.release.ignored_classes)
        labels = [{"name": name, "parent": "", "attributes": []} for name in names]
        return {
            "dm_format_version": "1.0",
            "media_type": 2,
            "infos": {},
            "categories": {"label": {"labels": labels, "attributes": [], "label_groups": []}},
        }


class ScalabelLayout(_OneArray):
    """``<split>.json``, as BDD100K publishes its labels."""

    loads = "scalabel.label.io.load('train.json')"
    file_name, drive_name, array = "{split}.json", "{}.json", "frames"

    def head(self) -> dict[str, Any]:
        """See the base class."""
        names = (*self.release.classes, *self.release.ignored_classes)
        return {"config": {"categories": [{"name": name} for name in names]}}


# Tables of which drives have rows in common, and what tells these apart.
_COMMON = {"category": ("description",), "sensor": ("channel", "modality"), "visibility": ("level",)}
_TABLES = (
    *("visibility", "attribute", "category", "sensor", "calibrated_sensor", "log", "map", "scene", "sample"),
    *("ego_pose", "sample_data", "instance", "sample_annotation"),
)


class NuScenesLayout(Layout):
    """One version of tables with every drive as a scene, and ``splits.json``, which the devkit reads."""

    loads = (
        "NuScenes(version='v1.0-NAME', dataroot=FOLDER); get_scenes_of_split('NAME-train', nusc), and -val, -test: "
        "the devkit keeps train, val and test for its own scenes"
    )

    def __init__(self, release: Manifest, out: Path) -> None:
        super().__init__(release, out)
        self._folder = out / f"v1.0-{release.name}"
        self._tables: dict[str, JsonArray] = {}
        for name in _TABLES:
            file = self._open.enter_context(new_text(self._folder / f"{name}.json"))
            file.write("[")
            self._tables[name] = JsonArray(file)
        self._scenes: dict[str, list[str]] = {f"{release.name}-{split}": [] for split in release.shares}
        # Name or channel -> token, of what all drives have in common.
        self._shared: dict[str, dict[str, str]] = {table: {} for table in _COMMON}

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        part = drive.folder / f"v1.0-{drive.name}"
        exchanged: dict[str, str] = {}
        for table, keys in _COMMON.items():
            known = self._shared[table]
            for row in _rows(part, table):
                key = " ".join(row[name] for name in keys)
                exchanged[row["token"]] = known.get(key, row["token"])
                if key not in known:
                    known[key] = row["token"]
                    self._tables[table].extend([row])
        for table, field in (("calibrated_sensor", "sensor_token"), ("instance", "category_token")):
            self._tables[table].extend(row | {field: exchanged[row[field]]} for row in _rows(part, table))
        for table in set(_TABLES) - {*_COMMON, "calibrated_sensor", "instance"}:
            self._tables[table].extend(_rows(part, table))
        self._scenes[f"{self.release.name}-{drive.split}"].append(drive.name)
        shutil.rmtree(part)

    def finish(self) -> None:
        """See the base class."""
        for table in self._tables.values():
            table.file.write("]\n")
        with new_text(self._folder / "splits.json") as file:
            json.dump(self._scenes, file, indent=1)

    def picture(self, drive: str, camera: str, frame: int) -> Path:
        """See the base class."""
        return self.out / "samples" / camera / f"{drive}__{frame:06d}.jpg"


def _rows(folder: Path, table: str) -> Iterable[dict[str, Any]]:
    return (row for _, _, row in members(folder / f"{table}.json", ()))
