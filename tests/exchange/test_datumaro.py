"""Datumaro's format: the contract, others' files, and Datumaro itself."""

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
from fleetlabel.model.errors import SourceError


class TestDatumaro(LabelFormatContract):
    format_name = "datumaro"


def foreign(tmp_path: Path, **changed: Any) -> Path:
    box = {
        "id": 1,
        "type": "bbox",
        "label_id": 1,
        "bbox": [1.5, 2, 10, 20],
        "attributes": {"occluded": True},
    } | changed
    items = [{"id": "front/000003", "annotations": [box, {"type": "polygon"}]}]
    document = {"items": items, "categories": {"label": {"labels": [{"name": "dog"}, {"name": "car"}]}}}
    path = tmp_path / "default.json"
    path.write_text(json.dumps(document))
    return path


def test_files_of_other_tools_are_read(tmp_path: Path) -> None:
    found = read_labels(writable_format("datumaro"), foreign(tmp_path), drive())
    boxes = found.pictures["front"]
    assert (boxes.frame.tolist(), boxes.xyxy_px.tolist()) == ([3], [[1.5, 2, 11.5, 22]])
    assert (boxes.class_labels().tolist(), boxes.occlusion.tolist()) == (["car"], [1])
    assert found.skipped == ("1 polygon annotations: they are no boxes",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label_id": 9}, "label 9, but there are 2"),
        ({"bbox": [1, 2]}, "for a box"),
        ({"attributes": {"truncation": "much"}}, "truncation is 'much'"),
        ({"attributes": {"track_id": "x"}}, "track_id is x"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("datumaro"), foreign(tmp_path, **changed), drive())


def test_datumaro_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(8)
    export_labels(labels, writable_format("datumaro"), tmp_path, "made")
    rows = ask_oracle("datumaro", "datumaro", tmp_path)
    for camera, boxes in labels.boxes2d.items():
        mine = sorted(
            zip(boxes.frame.tolist(), boxes.xyxy_px.tolist(), boxes.class_labels().tolist(), strict=True)
        )
        theirs = sorted((r["frame"], r["xyxy"], r["label"]) for r in rows if f"/{camera}/" in r["id"])
        assert [(row[0], row[2]) for row in theirs] == [(row[0], row[2]) for row in mine]
        np.testing.assert_allclose([row[1] for row in theirs], [row[1] for row in mine], atol=0.011)
    ids = {row["attributes"].get("track_id", -1) for row in rows}
    assert ids == {int(track) for boxes in labels.boxes2d.values() for track in boxes.track_id}
