"""Scalabel and BDD100K (https://doc.scalabel.ai/format.html): frames with labels, ``<sequence>.json``.

``box2d`` has inclusive edges: x2 and y2 are the last pixels inside, one less than our edges. Frames and pixels count
from 0. Regions to ignore are ``crowd``. What Scalabel has no attribute for is in attributes of our own names. Its
``box3d`` is in a camera's frame by Euler angles and is not taken over: formats for cuboids are OpenLABEL and nuScenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fleetlabel.engine.exchange.attributes import ATTRIBUTES, attribute_rows, number, read_attributes
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.rows import Rows, camera_in, frame_in, picture_name
from fleetlabel.engine.exchange.writing import REPORT, new_text, write_json_array
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.engine.ingest.large_files import label_files, opened
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import SourceError

_COLUMNS = ("xyxy_px", "track_id", "score", "ignore", *ATTRIBUTES)
_EDGES = ("x1", "y1", "x2", "y2")


class ScalabelLabels(WritableFormat):
    """Scalabel files, as BDD100K publishes its labels."""

    name = "scalabel"
    title = "Scalabel"
    looks_for = "<sequence>.json, or one .json file, with a list of frames"
    carries = Carries(
        pictures=exactly("class_id", *_COLUMNS),
        keyframes=True,
        notes=("edges on the far side are inclusive", "regions to ignore are crowds"),
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        path = out / f"{labels.drive.file_name}.json"
        with new_text(path) as file:
            categories = [{"name": name} for name in labels.class_names]
            file.write(json.dumps({"config": {"categories": categories}})[:-1] + ',\n"frames": ')
            n_frames = write_json_array(file, _frames(labels))
            file.write("}\n")
        return [f"{path}: {n_frames} pictures with boxes"]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = path / f"{reading.drive.file_name}.json"
        for file in [own] if own.is_file() else label_files(path, "*.json", "Scalabel file"):
            if file.name != REPORT:
                yield from _read_file(file, reading)


def _frames(labels: Labels) -> Iterator[dict[str, Any]]:
    anonymous = 0
    for camera in labels.cameras:
        width, height = labels.drive.size_px(camera)
        for boxes in labels.picture_blocks(camera):
            columns: tuple[Iterable[Any], ...] = (
                boxes.frame.tolist(),
                boxes.class_labels().tolist(),
                (boxes.xyxy_px - (0.0, 0.0, 1.0, 1.0)).tolist(),
                boxes.track_id.tolist(),
                boxes.score.tolist(),
                boxes.ignore.tolist(),
                attribute_rows(boxes),
            )
            found: dict[int, list[dict[str, Any]]] = {}
            for frame, name, edges, track, score, ignore, said in zip(*columns, strict=True):
                anonymous += track < 0
                said |= {"occluded": said.get("occlusion", 0) > 0, "crowd": ignore}
                label = {"id": str(track if track >= 0 else -anonymous), "category": name, "score": score}
                box = dict(zip(_EDGES, edges, strict=True))
                found.setdefault(frame, []).append({**label, "attributes": said, "box2d": box})
            for frame, described in found.items():
                yield {
                    "name": picture_name(labels.drive.file_name, camera, frame),
                    "videoName": f"{labels.drive.file_name}/{camera}",
                    "frameIndex": frame,
                    "size": {"width": width, "height": height},
                    "labels": described,
                }


def _read_file(path: Path, reading: Reading) -> Iterator[Block]:
    rows = Rows(Boxes2D, path, reading, _COLUMNS, unit="frame")
    # BDD100K's files are the list itself.
    with opened(path, ".json") as file:
        within = () if file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" else ("frames",)
    for _, row, frame in members(path, within):
        at = f"{path} frame {row}"
        if not isinstance(frame, Mapping):
            raise SourceError(f"{at} is {str(frame)[:80]}, expected a frame with labels")
        name = f"{frame.get('videoName') or ''}/{frame.get('name', '')}"
        index = frame.get("frameIndex")
        index = frame_in(name) if type(index) is not int else index
        if index is None:
            raise SourceError(
                f"{at} ({name[-80:]!r}) says no number: it has no frameIndex, and its name does not end in one"
            )
        camera = camera_in(name, reading)
        labels = frame.get("labels") or []
        if not isinstance(labels, list):
            raise SourceError(f"{at} has {str(labels)[:80]} for labels, expected a list")
        for label in labels:
            _add(rows, row, camera, index, label, at, reading)
        if rows.full():
            yield from rows.blocks()
    yield from rows.blocks()


def _add(rows: Rows, row: int | str, camera: str, frame: int, label: Any, at: str, reading: Reading) -> None:
    if not isinstance(label, Mapping):
        raise SourceError(f"{at} has {str(label)[:80]} for a label")
    box = label.get("box2d")
    if box is None:
        reading.skipped["labels without box2d"] += 1
        return
    said = label.get("attributes") or {}
    if not isinstance(box, Mapping) or not isinstance(said, Mapping):
        raise SourceError(f"{at} has {str(label)[:80]} for a label, expected box2d and attributes")
    x1, y1, x2, y2 = (number(box, edge, float("nan"), at) for edge in _EDGES)
    track = str(label.get("id", ""))
    rows.add(
        row,
        camera,
        frame,
        str(label.get("category", "")),
        (x1, y1, x2 + 1.0, y2 + 1.0),
        int(track) if track.isdecimal() and len(track) < 19 else -1,
        1.0 if label.get("score") is None else number(label, "score", 1.0, at),
        said.get("crowd") is True,
        *_described(said, at, label.get("score") is not None),
    )


def _described(said: Mapping[str, Any], at: str, scored: bool) -> tuple[Any, ...]:
    if "source" in said and "occlusion" not in said:
        said = {
            name: value for name, value in said.items() if name != "occluded"
        }  # our own file: unknown is unknown
    return read_attributes(said, at, Source.DETECTOR if scored else Source.UNKNOWN)
