"""Scalabel: the contract, and edges that are inclusive there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import drive, random_labels
from fleetlabel.engine.exchange import export_labels, read_labels, writable_format
from fleetlabel.model.errors import SourceError


class TestScalabel(LabelFormatContract):
    format_name = "scalabel"


def foreign(tmp_path: Path, **changed: Any) -> Path:
    """A file as BDD100K publishes them: the list itself."""
    box = {"x1": 10, "y1": 20, "x2": 19, "y2": 39}
    label = {"id": "00012", "category": "car", "attributes": {"occluded": True, "crowd": False}, "box2d": box}
    frame = {"name": "front-0000003.jpg", "videoName": "front", "frameIndex": 2, "labels": [label | changed]}
    path = tmp_path / "box_track.json"
    path.write_text(json.dumps([frame, {"name": "front/000004.jpg", "labels": [{"id": "1", "poly2d": []}]}]))
    return path


def test_far_edges_are_the_last_pixels_inside(tmp_path: Path) -> None:
    found = read_labels(writable_format("scalabel"), foreign(tmp_path), drive())
    boxes = found.pictures["front"]
    assert boxes.xyxy_px.tolist() == [[10, 20, 20, 40]]  # ten pixels wide, twenty high
    assert (boxes.frame.tolist(), boxes.track_id.tolist(), boxes.occlusion.tolist()) == ([2], [12], [1])
    assert found.skipped == ("1 labels without box2d",)
    labels = random_labels(1)
    export_labels(labels, writable_format("scalabel"), tmp_path / "out", "made")
    frames = json.loads((tmp_path / "out/monday_drive.json").read_text())["frames"]
    first = labels.boxes2d["front"].xyxy_px[0]
    box = frames[0]["labels"][0]["box2d"]
    assert [box["x1"], box["y1"], box["x2"] + 1, box["y2"] + 1] == pytest.approx(first.tolist(), abs=1e-9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"box2d": [1, 2, 3, 4]}, "expected box2d"),
        ({"box2d": {"x1": 1, "y1": 2, "x2": "far"}}, "x2 is 'far'"),
        ({"box2d": {"x1": 1, "y1": 2}}, "not finite"),
        ({"score": "high"}, "score is 'high'"),
        ({"attributes": 7}, "attributes"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("scalabel"), foreign(tmp_path, **changed), drive())
