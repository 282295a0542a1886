"""COCO detection files (https://cocodataset.org/#format-data), with track ids and times.

``bbox`` is x, y, width, height with real-valued pixel edges, (0, 0) the picture's corner: our edges, the far ones as
sizes. Regions to ignore are ``iscrowd``, which evaluators skip. What COCO has no field for stands in fields of its own
that its readers pass over: ``track_id`` and ``score`` (as TAO and BDD100K have them), ``amodal_bbox``, and
``attributes`` (as CVAT and Datumaro have them); an image's ``frame_id`` counts from 0. Numbers are exact.

One file per sequence, ``<sequence>.json``, with the pictures of all cameras.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.attributes import ATTRIBUTES, attribute_rows, given, read_attributes
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.rows import Rows, camera_in, camera_named, frame_in, picture_name
from fleetlabel.engine.exchange.writing import REPORT, new_text, write_json_array
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.engine.ingest.large_files import label_files
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import SourceError

_COLUMNS = ("xyxy_px", "amodal_xyxy_px", "track_id", "score", "ignore", *ATTRIBUTES)


class CocoLabels(WritableFormat):
    """COCO detection files with track ids."""

    name = "coco"
    title = "COCO"
    looks_for = "<sequence>.json, or one .json file, with images, annotations and categories"
    carries = Carries(
        pictures=exactly("class_id", *_COLUMNS),
        keyframes=True,
        notes=(
            "regions to ignore are iscrowd",
            "what COCO itself has no field for is in fields that its readers skip",
        ),
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        path = out / f"{labels.drive.file_name}.json"
        with new_text(path) as file:
            file.write(json.dumps({"info": {"description": labels.drive.info.name, "version": "1.0"}})[:-1])
            file.write(',\n"licenses": [],\n"videos": ')
            videos = [{"id": 1 + row, "name": _video(labels, c)} for row, c in enumerate(labels.cameras)]
            file.write(json.dumps(videos) + ',\n"images": ')
            n_images = write_json_array(file, _images(labels))
            file.write(',\n"categories": ')
            names = enumerate(labels.class_names, start=1)
            write_json_array(file, ({"id": row, "name": name, "supercategory": ""} for row, name in names))
            file.write(',\n"annotations": ')
            n_boxes = write_json_array(file, _annotations(labels))
            file.write("}\n")
        return [f"{path}: {n_boxes} boxes in {n_images} pictures"]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = path / f"{reading.drive.file_name}.json"
        for file in [own] if own.is_file() else label_files(path, "*.json", "COCO file"):
            if file.name != REPORT:
                yield from self._read_file(file, reading)

    def _read_file(self, path: Path, reading: Reading) -> Iterator[Block]:
        names: dict[int, str] = {}
        places: dict[int, tuple[str, int]] = {}
        for where, row, value in members(path, ("images",), ("categories",)):
            if not isinstance(value, Mapping) or type(value.get("id")) is not int:
                raise SourceError(f"{path} {where[0]} {row} has no whole number as id: {str(value)[:80]}")
            if where == ("categories",):
                names[value["id"]] = str(value.get("name"))
            else:
                places[value["id"]] = _place(value, f"{path} image {value['id']}", reading)
        rows = Rows(Boxes2D, path, reading, _COLUMNS, unit="annotation")
        for _, row, value in members(path, ("annotations",)):
            at = f"{path} annotation {row}"
            if not isinstance(value, Mapping):
                raise SourceError(f"{at} is no object: {str(value)[:80]}")
            image, category = value.get("image_id"), value.get("category_id")
            if type(image) is not int or image not in places:
                raise SourceError(f"{at} is of image {str(image)[:40]}, which the file does not have")
            if type(category) is not int or category not in names:
                raise SourceError(f"{at} is of category {str(category)[:40]}, which the file does not have")
            whole = value.get("amodal_bbox")
            rows.add(
                row,
                *places[image],
                names[category],
                _xyxy(value.get("bbox"), at),
                _NO_BOX if whole is None else _xyxy(whole, at),
                value.get("track_id", -1),
                value.get("score", 1.0),
                bool(value.get("iscrowd", 0)),
                *read_attributes(
                    value.get("attributes"), at, Source.DETECTOR if "score" in value else Source.UNKNOWN
                ),
            )
            if rows.full():
                yield from rows.blocks()
        yield from rows.blocks()


_NO_BOX = (float("nan"),) * 4


def _video(labels: Labels, camera: str) -> str:
    return f"{labels.drive.file_name}/{camera}"


def _images(labels: Labels) -> Iterator[dict[str, Any]]:
    for row, camera in enumerate(labels.cameras):
        width, height = labels.drive.size_px(camera)
        for frame, time_ns in enumerate(labels.drive.exposure_ns[camera].tolist()):
            yield {
                "id": _image_id(labels, row, frame),
                "file_name": picture_name(labels.drive.file_name, camera, frame),
                "width": width,
                "height": height,
                "video_id": row + 1,
                "frame_id": frame,
                "camera": camera,
                "timestamp_ns": time_ns,
            }


def _image_id(labels: Labels, camera: int, frame: int) -> int:
    return 1 + camera * labels.n_frames + frame


def _annotations(labels: Labels) -> Iterator[dict[str, Any]]:
    number = 0
    for row, camera in enumerate(labels.cameras):
        for boxes in labels.picture_blocks(camera):
            whole = given(boxes.amodal_xyxy_px)
            columns: tuple[Iterable[Any], ...] = (
                boxes.frame.tolist(),
                (boxes.class_id + 1).tolist(),
                _xywh(boxes.xyxy_px).tolist(),
                boxes.ignore.tolist(),
                boxes.track_id.tolist(),
                boxes.score.tolist(),
                whole,
                _xywh(boxes.amodal_xyxy_px).tolist(),
                attribute_rows(boxes),
            )
            rows = zip(*columns, strict=True)
            for frame, category, bbox, ignore, track, score, has_whole, amodal, said in rows:
                number += 1
                item = {
                    "id": number,
                    "image_id": _image_id(labels, row, frame),
                    "category_id": category,
                    "bbox": bbox,
                    "area": bbox[2] * bbox[3],
                    "iscrowd": int(ignore),
                    "segmentation": [],
                    "score": score,
                    "attributes": said,
                }
                if track >= 0:
                    item["track_id"] = track
                if has_whole:
                    item["amodal_bbox"] = amodal
                yield item


def _xywh(xyxy: Any) -> Any:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def _xyxy(bbox: Any, at: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{at} has {str(bbox)[:80]} for a box, expected x, y, width and height") from error
    return x, y, x + width, y + height


def _place(image: Mapping[str, Any], at: str, reading: Reading) -> tuple[str, int]:
    """Camera and frame of an image: as it says itself, else from the name of its file."""
    name = str(image.get("file_name", ""))
    if image.get("camera") in reading.drive.cameras:
        camera = camera_named(image["camera"], reading, at)
    else:
        camera = camera_in(name, reading)
    frame = image["frame_id"] if type(image.get("frame_id")) is int else frame_in(name)
    if frame is None:
        raise SourceError(
            f"{at} ({name[-80:]!r}) says no frame: it has no frame_id, and its name does not end in one"
        )
    size = (image.get("width"), image.get("height"))
    if size != (None, None) and size != reading.drive.size_px(camera):
        raise SourceError(
            f"{at} is {size[0]}x{size[1]} px, but {camera} has {'x'.join(map(str, reading.drive.size_px(camera)))}: "
            "its boxes are of scaled pictures, or of another drive"
        )
    return camera, frame
