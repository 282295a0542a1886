"""MOTChallenge (Dendorfer et al., 2020): ``gt/gt.txt`` and ``seqinfo.ini`` in a folder per camera.

Rows are frame, id, left, top, width, height, confidence, class, visibility. Frames count from 1, and so do pixels: the
first pixel's edge, 0 with us, is 1 there. Confidence 0 marks regions to ignore. Boxes without identity have negative
ids, each its own: evaluators refuse an id that is twice in a frame. Class numbers are the benchmark's where it has the
class, and go on after its 13; ``gt/labels.txt`` (as CVAT and Datumaro write it) names all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.rows import Rows, camera_in
from fleetlabel.engine.exchange.writing import new_text, refuse_existing
from fleetlabel.engine.ingest.files import numbers
from fleetlabel.engine.ingest.large_files import label_files, lines
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import canonical

# The benchmark's classes, from 1, and ours that are the same.
_MOT_CLASSES = (
    *("pedestrian", "person_on_vehicle", "car", "bicycle", "motorcycle", "non_mot_vehicle", "static_person"),
    *("distractor", "occluder", "occluder_on_ground", "occluder_full", "reflection", "crowd"),
)
_UNKNOWN = "object"
_LEAST_CONFIDENCE = 1e-9
_ROW = "{},{},{:.6f},{:.6f},{:.6f},{:.6f},{:.9g},{},{:.9g}\n"


class MotLabels(WritableFormat):
    """Ground truth and results of the MOTChallenge."""

    name = "mot"
    title = "MOTChallenge"
    looks_for = "<sequence>-<camera>/gt/gt.txt, or one such file of rows"
    carries = Carries(
        pictures=exactly(
            "xyxy_px",
            "class_id",
            "track_id",
            "ignore",
            score="exact but in regions to ignore, whose confidence is 0",
            visible_fraction="exact but for results, which have no such column",
        ),
        notes=(
            "frames and pixels count from 1",
            "TrackEval evaluates pedestrians, refuses classes beyond the benchmark's 13, and takes 8 bytes of memory "
            "for every number up to the largest id",
        ),
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        drive, found = labels.drive, []
        numbers_of = _class_numbers(labels.class_names)
        for camera in labels.cameras:
            folder = out / f"{drive.file_name}-{camera}"
            refuse_existing(folder)
            with new_text(folder / "seqinfo.ini") as file:
                file.write(_seqinfo(labels, camera, folder.name))
            with new_text(folder / "gt" / "labels.txt") as file:
                file.writelines(f"{name}\n" for name in numbers_of)
            n_boxes = n_anonymous = 0
            with new_text(folder / "gt" / "gt.txt") as file:
                for boxes in labels.picture_blocks(camera):
                    file.write(_formatted(boxes, numbers_of, n_anonymous))
                    n_boxes += len(boxes)
                    n_anonymous += int((boxes.track_id < 0).sum())
            found.append(f"{folder}: {n_boxes} boxes")
        return found

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = sorted(path.glob(f"{reading.drive.file_name}-*/gt/gt.txt"))
        for file in own or label_files(path, "**/gt/gt.txt", "MOTChallenge labels"):
            camera = camera_in(file.parent.parent.name if path != file else file.name, reading)
            yield from _read_file(file, camera, _labels_beside(file), reading)


def _class_numbers(names: Sequence[str]) -> dict[str, int]:
    """Numbers from 1 of the benchmark's classes, and of ours after them; a class of ours may be one of theirs."""
    known = dict.fromkeys(_MOT_CLASSES)
    return {
        name: row
        for row, name in enumerate([*known, *(name for name in names if name not in known)], start=1)
    }


def _formatted(boxes: Boxes2D, numbers_of: Mapping[str, int], n_anonymous: int) -> str:
    """Rows of boxes; ``n_anonymous`` boxes without identity came before."""
    classes = np.array([numbers_of[name] for name in boxes.class_names], dtype=np.int64)[boxes.class_id]
    confidence = np.where(boxes.ignore, 0.0, np.maximum(boxes.score, _LEAST_CONFIDENCE))
    visible = np.where(np.isfinite(boxes.visible_fraction), boxes.visible_fraction, -1.0)
    size = boxes.xyxy_px[:, 2:] - boxes.xyxy_px[:, :2]
    anonymous = boxes.track_id < 0
    columns = (
        (boxes.frame + 1).tolist(),
        np.where(anonymous, -n_anonymous - np.cumsum(anonymous), boxes.track_id).tolist(),
        *(boxes.xyxy_px[:, :2] + 1.0).T.tolist(),
        *size.T.tolist(),
        confidence.tolist(),
        classes.tolist(),
        visible.tolist(),
    )
    return "".join(_ROW.format(*row) for row in zip(*columns, strict=True))


def _read_file(path: Path, camera: str, names: Sequence[str], reading: Reading) -> Iterator[Block]:
    rows = Rows(
        Boxes2D,
        path,
        reading,
        ("xyxy_px", "track_id", "score", "ignore", "visible_fraction", "source"),
        unit="line",
    )
    for number, line in lines(path):
        where, fields = f"{path} line {number}", line.split(",")
        if len(fields) not in (7, 8, 9, 10):
            raise SourceError(f"{where} has {len(fields)} columns, expected 7 to 10, separated by commas")
        frame, track_id, kind = (
            _whole(text, where) for text in (*fields[:2], fields[7] if fields[7:] else "-1")
        )
        left, top, width, height, confidence, *rest = numbers(fields[2:], where, len(fields) - 2)
        truth = len(fields) <= 9
        visible = rest[1] if truth and len(rest) > 1 and rest[1] >= 0 else float("nan")
        if kind > len(names):
            raise SourceError(f"{where} is of class {kind}, but labels.txt has {len(names)}")
        x, y = left - 1.0, top - 1.0
        rows.add(
            number,
            camera,
            frame - 1,
            names[kind - 1] if kind >= 1 else _UNKNOWN,
            (x, y, x + width, y + height),
            max(track_id, -1),
            1.0 if confidence == 0 else confidence,
            truth and confidence == 0,
            visible,
            Source.UNKNOWN if confidence in (0.0, 1.0) else Source.DETECTOR,
        )
        if rows.full():
            yield from rows.blocks()
    yield from rows.blocks()


def _labels_beside(path: Path) -> list[str]:
    """Names of the classes, from 1: of ``labels.txt`` beside the file, else the benchmark's."""
    file = path.with_name("labels.txt")
    if not file.is_file():
        return [canonical(name) or name for name in _MOT_CLASSES]
    return [line for _, line in lines(file)]


def _seqinfo(labels: Labels, camera: str, name: str) -> str:
    width, height = labels.drive.size_px(camera)
    times = labels.drive.info.frame_timestamp_ns
    rate_hz = 1e9 * (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 1.0
    values = {
        "name": name,
        "imDir": "img1",
        "frameRate": f"{rate_hz:.6g}",
        "seqLength": labels.n_frames,
        "imWidth": width,
        "imHeight": height,
        "imExt": ".jpg",
    }
    return "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in values.items())


def _whole(text: str, where: str) -> int:
    try:
        value = float(text)
        if value == int(value) and abs(value) < 1 << 53:
            return int(text) if text.strip().lstrip("-").isdigit() else int(value)
    except (ValueError, OverflowError):
        pass
    raise SourceError(f"{where}: {text[:40]!r} is no whole number of a frame, id or class")
