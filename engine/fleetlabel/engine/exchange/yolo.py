"""YOLO detection data sets as ultralytics reads them: ``labels/.../000012.txt`` beside ``images/.../000012.jpg``.

Rows are class, centre x, centre y, width and height, as shares of the picture's width and height; classes count from 0
and are named in ``data.yaml``. Trainers refuse boxes that reach beyond the picture, so these are cut at its edge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.rows import Rows, camera_in, frame_in
from fleetlabel.engine.exchange.writing import new_folder, new_text
from fleetlabel.engine.ingest.files import numbers, read_text
from fleetlabel.engine.ingest.large_files import label_files, lines
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import SourceError, StoreExistsError

_DATA = "data.yaml"
# Thirty times what the vocabulary with the most classes needs.
_MAX_DATA_BYTES = 1 << 20
_ROW = "{} {:.12f} {:.12f} {:.12f} {:.12f}\n"


class YoloLabels(WritableFormat):
    """YOLO detection data sets."""

    name = "yolo"
    title = "YOLO"
    looks_for = "labels/.../<frame>.txt and data.yaml with the names of classes"
    carries = Carries(
        pictures=exactly("class_id", xyxy_px="cut at the picture's edge, and left out where nothing remains"),
        notes=("regions to ignore are left out: trainers would take them for objects",),
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        root = out / "labels" / labels.drive.file_name
        new_folder(root)
        _write_data(out / _DATA, labels)
        found = []
        for camera in labels.cameras:
            n_boxes = 0
            for boxes in labels.picture_blocks(camera):
                n_boxes += _write_block(boxes, labels.drive.size_px(camera), root / camera)
            found.append(f"{root / camera}: {n_boxes} boxes")
        return found

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        names = _names(path)
        own, pattern = path / "labels" / reading.drive.file_name, "**/*.txt"
        files = (
            sorted(own.glob(pattern))
            if own.is_dir()
            else label_files(path / "labels", pattern, "YOLO labels")
        )
        rows = Rows(Boxes2D, path, reading, ("xyxy_px", "score", "source", "track_id"), unit="in")
        for file in files:
            frame, camera = frame_in(file.name), camera_in(file.relative_to(path.parent).as_posix(), reading)
            if frame is None:
                raise SourceError(f"{file} is not named after a frame, like 000012.txt; move it away")
            size = np.array(reading.drive.size_px(camera), dtype=np.float64)
            for number, line in lines(file):
                at, fields = f"{file} line {number}", line.split()
                if not 5 <= len(fields) <= 7:
                    raise SourceError(
                        f"{at} has {len(fields)} columns, expected 5 to 7: this is no detection label"
                    )
                kind, *box = numbers(fields, at, len(fields))
                center, half = np.array(box[:2]), np.array(box[2:4]) / 2
                name = names.get(int(kind)) if kind == int(kind) else None
                if name is None:
                    raise SourceError(f"{at} is of class {fields[0][:20]}, which {_DATA} does not name")
                rows.add(
                    at,
                    camera,
                    frame,
                    name,
                    (*((center - half) * size), *((center + half) * size)),
                    box[4] if len(box) > 4 else 1.0,
                    Source.DETECTOR if len(box) > 4 else Source.UNKNOWN,
                    int(box[5]) if len(box) > 5 else -1,
                )
            if rows.full():
                yield from rows.blocks()
        yield from rows.blocks()


def _write_block(boxes: Boxes2D, size_px: tuple[int, int], folder: Path) -> int:
    limit = np.array([*size_px, *size_px], dtype=np.float64)
    edges = np.clip(boxes.xyxy_px, 0, limit)
    kept = ~boxes.ignore & (edges[:, 2:] > edges[:, :2]).all(axis=1)
    edges, frame, class_id = edges[kept] / limit, boxes.frame[kept], boxes.class_id[kept]
    values = np.concatenate([(edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]], axis=1)
    for number, rows in _by_frame(frame):
        with new_text(folder / f"{number:06d}.txt") as file:
            file.writelines(
                _ROW.format(kind, *row)
                for kind, row in zip(class_id[rows].tolist(), values[rows].tolist(), strict=True)
            )
    return len(frame)


def _by_frame(frame: AnyArray) -> Iterator[tuple[int, slice]]:
    numbers_, begin = np.unique(frame, return_index=True)
    for number, low, high in zip(numbers_.tolist(), begin, np.append(begin[1:], len(frame)), strict=False):
        yield number, slice(int(low), int(high))


def _write_data(path: Path, labels: Labels) -> None:
    """The data set's description; further sequences of the same classes share it."""
    names = dict(enumerate(labels.class_names))
    if path.exists():
        if _names(path.parent) != names:
            raise StoreExistsError(f"{path} names other classes; choose another --out")
        return
    with new_text(path) as file:
        file.write("train: images\nval: images\nnames:\n")
        file.writelines(f"  {row}: {json.dumps(name)}\n" for row, name in names.items())


def _names(path: Path) -> Mapping[int, str]:
    """Names of classes by number."""
    file = path / _DATA
    if not file.is_file():
        raise SourceError(f"{path} has no {_DATA}; YOLO labels count classes, and it says which")
    if file.stat().st_size > _MAX_DATA_BYTES:
        raise SourceError(
            f"{file} has {file.stat().st_size} bytes; a list of classes has at most {_MAX_DATA_BYTES}"
        )
    try:
        document: Any = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SourceError(
            f"{file} is not valid YAML ({str(error)[:200]}); it should name the classes"
        ) from error
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    # Nothing but plain values is turned into text: a few nested aliases would make gigabytes of it.
    if not isinstance(names, dict) or not all(
        type(row) is int and type(name) in (str, int, float) for row, name in names.items()
    ):
        raise SourceError(
            f"{file} has no names of classes; expected names: [car, ...] or names: {{0: car, ...}}"
        )
    return {row: str(name) for row, name in names.items()}
