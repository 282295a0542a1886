"""Other detectors' cuboids in place of our lift stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exchange.scenes import drive, random_labels
from exchange.test_nuscenes import results
from fleetlabel.engine.exchange import export_labels, writable_format
from fleetlabel.engine.exchange.certificate import match
from fleetlabel.engine.exchange.detections import detected_cuboids
from fleetlabel.model.boxes import Source
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import CLASSES


def test_nuscenes_results(tmp_path: Path) -> None:
    labels = random_labels(9)
    found = detected_cuboids(results(tmp_path, labels), labels.drive.info)
    partner = match(found, labels.boxes3d, by_identity=False)
    np.testing.assert_allclose(found.corners_m(), labels.boxes3d.corners_m()[partner], atol=1e-6)
    assert found.class_names[: len(CLASSES)] == CLASSES
    assert set(found.class_labels().tolist()) == {"car"}
    for frame in np.unique(found.frame):
        mine = found.detection[found.frame == frame]
        assert mine.tolist() == list(range(len(mine)))


def test_kitti_object_results(tmp_path: Path) -> None:
    labels = random_labels(9, lean=False, classes=("Car", "Cyclist"))
    export_labels(labels, writable_format("kitti-object"), tmp_path, "made")
    found = detected_cuboids(tmp_path / "monday_drive", labels.drive.info)
    partner = match(found, labels.boxes3d, by_identity=False)
    np.testing.assert_allclose(found.corners_m(), labels.boxes3d.corners_m()[partner], atol=1e-6)
    np.testing.assert_allclose(found.score, labels.boxes3d.score[partner], atol=1e-6)
    assert set(found.source.tolist()) == {Source.DETECTOR}
    assert set(found.class_labels().tolist()) == {"car", "bicycle"}


def test_results_without_boxes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"results": {}}))
    with pytest.raises(SourceError, match="has no boxes"):
        detected_cuboids(path, drive().info)
