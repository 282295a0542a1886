"""Datumaro's own format (https://github.com/openvinotoolkit/datumaro): ``annotations/<subset>.json``.

A box is x, y, width, height with real-valued edges; what else is known of it are its attributes. An item is a picture;
its ``attr.frame`` counts from 0. A sequence is a subset. Of other tools' files, boxes are taken over; shapes of other
kinds are counted and left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.attributes import ATTRIBUTES, attribute_rows, number, read_attributes
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.rows import Rows, camera_in, frame_in, picture_name
from fleetlabel.engine.exchange.writing import REPORT, new_text, write_json_array
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.engine.ingest.large_files import label_files
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import SourceError

_COLUMNS = ("xyxy_px", "track_id", "score", "ignore", *ATTRIBUTES)
_IMAGES = 2  # Datumaro's number of this kind of media


class DatumaroLabels(WritableFormat):
    """Datumaro's own format."""

    name = "datumaro"
    title = "Datumaro"
    looks_for = "annotations/<sequence>.json, or one such .json file"
    carries = Carries(pictures=exactly("class_id", *_COLUMNS), keyframes=True)

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        path = out / "annotations" / f"{labels.drive.file_name}.json"
        categories = [{"name": name, "parent": "", "attributes": []} for name in labels.class_names]
        head = {
            "dm_format_version": "1.0",
            "media_type": _IMAGES,
            "infos": {},
            "categories": {"label": {"labels": categories, "attributes": [], "label_groups": []}},
        }
        with new_text(path) as file:
            file.write(json.dumps(head)[:-1] + ',\n"items": ')
            n_items = write_json_array(file, _items(labels))
            file.write("}\n")
        return [f"{path}: {n_items} pictures with boxes"]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = path / "annotations" / f"{reading.drive.file_name}.json"
        folder = path / "annotations" if (path / "annotations").is_dir() else path
        for file in [own] if own.is_file() else label_files(folder, "*.json", "Datumaro annotations"):
            if file.name != REPORT:
                yield from _read_file(file, reading)


def _items(labels: Labels) -> Iterator[dict[str, Any]]:
    number_of = 0
    for camera in labels.cameras:
        width, height = labels.drive.size_px(camera)
        for boxes in labels.picture_blocks(camera):
            size = boxes.xyxy_px[:, 2:] - boxes.xyxy_px[:, :2]
            columns: tuple[Iterable[Any], ...] = (
                boxes.frame.tolist(),
                boxes.class_id.tolist(),
                np.concatenate([boxes.xyxy_px[:, :2], size], axis=1).tolist(),
                boxes.track_id.tolist(),
                boxes.score.tolist(),
                boxes.ignore.tolist(),
                attribute_rows(boxes),
            )
            annotations: list[dict[str, Any]] = []
            last = -1
            for frame, label, bbox, track, score, ignore, said in zip(*columns, strict=True):
                if frame != last and annotations:
                    yield _item(labels, camera, last, annotations, (height, width))
                    annotations = []
                last, number_of = frame, number_of + 1
                said |= {"score": score, "ignore": ignore} | ({"track_id": track} if track >= 0 else {})
                shape = {"type": "bbox", "label_id": label, "bbox": bbox, "z_order": 0, "group": 0}
                annotations.append({"id": number_of, **shape, "attributes": said})
            if annotations:
                yield _item(labels, camera, last, annotations, (height, width))


def _item(
    labels: Labels, camera: str, frame: int, annotations: list[dict[str, Any]], size: tuple[int, int]
) -> dict[str, Any]:
    name = picture_name(labels.drive.file_name, camera, frame)
    return {
        "id": name.removesuffix(".jpg"),
        "annotations": annotations,
        "attr": {"frame": frame},
        "image": {"path": name, "size": size},
    }


def _read_file(path: Path, reading: Reading) -> Iterator[Block]:
    names: list[str] = []
    for _, _, value in members(path, ("categories", "label", "labels")):
        names.append(str(value.get("name")) if isinstance(value, Mapping) else str(value))
    rows = Rows(Boxes2D, path, reading, _COLUMNS, unit="item")
    for _, row, item in members(path, ("items",)):
        at = f"{path} item {row}"
        if not isinstance(item, Mapping) or not isinstance(item.get("annotations", []), list):
            raise SourceError(f"{at} is {str(item)[:80]}, expected an item with annotations")
        name = str(item.get("id", ""))
        said = item.get("attr")
        frame = said.get("frame") if isinstance(said, Mapping) else None
        frame = frame_in(name) if type(frame) is not int else frame
        if frame is None:
            raise SourceError(
                f"{at} ({name[-80:]!r}) says no frame: neither attr.frame nor the end of its name does"
            )
        camera = camera_in(f"{name}.", reading)
        for annotation in item.get("annotations", []):
            _add(rows, row, camera, frame, annotation, names, at, reading)
        if rows.full():
            yield from rows.blocks()
    yield from rows.blocks()


def _add(
    rows: Rows,
    row: int | str,
    camera: str,
    frame: int,
    annotation: Any,
    names: list[str],
    at: str,
    reading: Reading,
) -> None:
    if not isinstance(annotation, Mapping):
        raise SourceError(f"{at} has {str(annotation)[:80]} for an annotation")
    if annotation.get("type") != "bbox":
        reading.skipped[f"{str(annotation.get('type'))[:40]} annotations: they are no boxes"] += 1
        return
    label, bbox = annotation.get("label_id"), annotation.get("bbox")
    if type(label) is not int or not 0 <= label < len(names):
        raise SourceError(f"{at} has a box of label {str(label)[:40]}, but there are {len(names)}")
    try:
        x, y, width, height = (float(value) for value in bbox)  # type: ignore[union-attr]
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{at} has {str(bbox)[:80]} for a box, expected x, y, width and height") from error
    said = annotation.get("attributes") or {}
    values = read_attributes(said, at, Source.DETECTOR if "score" in said else Source.UNKNOWN)
    rows.add(
        row,
        camera,
        frame,
        names[label],
        (x, y, x + width, y + height),
        said.get("track_id", -1),
        number(said, "score", 1.0, at),
        said.get("ignore") is True,
        *values,
    )
