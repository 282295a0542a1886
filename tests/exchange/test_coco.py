"""COCO: the contract, what its readers expect, and pycocotools as a reader that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import drive, random_labels
from fleetlabel.engine.exchange import export_labels, read_labels, writable_format
from fleetlabel.model.errors import SourceError, UsageError


class TestCoco(LabelFormatContract):
    format_name = "coco"


def foreign(tmp_path: Path, **changed: Any) -> Path:
    """A file as other tools write it: annotations first, nothing of ours."""
    document = {
        "annotations": [{"id": 5, "image_id": 9, "category_id": 3, "bbox": [10, 20.5, 30, 40], "iscrowd": 0}],
        "categories": [{"id": 3, "name": "car"}],
        "images": [{"id": 9, "file_name": "cam/front/000004.jpg", "width": 1920, "height": 1080}],
        **changed,
    }
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps(document))
    return path


def test_files_of_other_tools_are_read(tmp_path: Path) -> None:
    found = read_labels(writable_format("coco"), foreign(tmp_path), drive())
    boxes = found.pictures["front"]
    assert (boxes.frame.tolist(), boxes.xyxy_px.tolist()) == ([4], [[10, 20.5, 40, 60.5]])
    assert (found.class_names, boxes.track_id.tolist()) == (("car",), [-1])


def test_a_camera_that_nobody_names_has_to_be_given(tmp_path: Path) -> None:
    images = [{"id": 9, "file_name": "000004.jpg", "width": 1920, "height": 1080}]
    path = foreign(tmp_path, images=images)
    with pytest.raises(UsageError, match="--camera"):
        read_labels(writable_format("coco"), path, drive())
    assert list(read_labels(writable_format("coco"), path, drive(), camera="rear").pictures) == ["rear"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": [{"id": 9, "file_name": "front/4.jpg", "width": 960, "height": 540}]}, "scaled pictures"),
        ({"images": [{"id": 9, "file_name": "front/../../../etc/passwd"}]}, "says no frame"),
        (
            {"images": [{"id": 9, "file_name": "front/999999999999.jpg"}]},
            "annotation 0 is of frame 999999999999",
        ),
        ({"categories": []}, "annotation 0 is of category 3"),
        ({"annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}]}, "image 1, which"),
        (
            {"annotations": [{"image_id": 9, "category_id": 3, "bbox": [1, 2, -3, 4]}]},
            "ends before it begins",
        ),
        ({"annotations": [{"image_id": 9, "category_id": 3, "bbox": [1, 2, 1e400, 4]}]}, "not finite"),
        ({"annotations": [{"image_id": 9, "category_id": 3}]}, "None for a box"),
        (
            {"annotations": [{"image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4], "track_id": 1e30}]},
            "track_id",
        ),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("coco"), foreign(tmp_path, **changed), drive())


def test_pycocotools_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(11)
    export_labels(labels, writable_format("coco"), tmp_path, "made")
    path = tmp_path / "monday_drive.json"
    found = ask_oracle("coco", path)
    for camera, boxes in labels.boxes2d.items():
        theirs = [row for row in found["boxes"] if row["camera"] == camera]
        assert [row["frame"] for row in theirs] == boxes.frame.tolist()
        x, y, w, h = np.array([row["bbox"] for row in theirs]).T
        np.testing.assert_allclose(np.stack([x, y, x + w, y + h], axis=1), boxes.xyxy_px, atol=1e-9)
        assert [row["category"] for row in theirs] == boxes.class_labels().tolist()
        assert [row["track_id"] for row in theirs] == boxes.track_id.tolist()
        assert [bool(row["iscrowd"]) for row in theirs] == boxes.ignore.tolist()
    # Labels as results on themselves: everything that counts is found.
    assert found["ap50"] == pytest.approx(1.0)


def test_datumaro_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(8)
    export_labels(labels, writable_format("coco"), tmp_path / "out", "made")
    path = tmp_path / "annotations/instances_default.json"  # where Datumaro looks for them
    path.parent.mkdir()
    (tmp_path / "out/monday_drive.json").rename(path)
    (tmp_path / "images").mkdir()
    rows = ask_oracle("datumaro", "coco_instances", tmp_path)
    for camera, boxes in labels.boxes2d.items():
        mine = sorted(
            zip(boxes.frame.tolist(), boxes.xyxy_px.tolist(), boxes.class_labels().tolist(), strict=True)
        )
        theirs = sorted((r["frame"], r["xyxy"], r["label"]) for r in rows if f"/{camera}/" in r["id"])
        assert [(row[0], row[2]) for row in theirs] == [(row[0], row[2]) for row in mine]
        np.testing.assert_allclose([row[1] for row in theirs], [row[1] for row in mine], atol=0.011)
    assert {row["attributes"].get("source") for row in rows} <= {
        "detector",
        "interpolated",
        "smoothed",
        "human",
    }
