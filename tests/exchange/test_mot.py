"""MOTChallenge: the contract, counting from 1, and TrackEval and py-motmetrics as readers that are not ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import drive, random_labels
from fleetlabel.engine.exchange import export_labels, read_labels, writable_format
from fleetlabel.model.errors import SourceError


class TestMot(LabelFormatContract):
    format_name = "mot"

    def is_read(self, path: Path) -> bool:
        return path.suffix == ".txt"


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "front.txt"
    path.write_text(text)
    return read_labels(writable_format("mot"), path, drive())


def test_frames_and_pixels_count_from_1(tmp_path: Path) -> None:
    boxes = read(tmp_path, "1,7,1,1,10,20,1,1,0.5\n").pictures["front"]
    assert (boxes.frame.tolist(), boxes.xyxy_px.tolist()) == ([0], [[0, 0, 10, 20]])
    assert (boxes.track_id.tolist(), boxes.class_labels().tolist()) == ([7], ["pedestrian"])


def test_results_and_detections_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, "2,-1,5.5,6,7,8,0.25,-1,-1,-1\n3,4,5.5,6,7,8,0\n")
    boxes = found.pictures["front"]
    assert boxes.score.tolist() == [0.25, 1.0]
    assert boxes.track_id.tolist() == [-1, 4]
    assert boxes.ignore.tolist() == [False, True]
    assert found.class_names == ("object",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,1,1,1,1,1,1,1,1", "is of frame -1"),
        ("1000000000000000,1,1,1,1,1,1,1,1", "is of frame 999999999999999"),
        ("1e400,1,1,1,1,1,1,1,1", "no whole number"),
        ("1,1,1,1,1", "5 columns"),
        ("1,1,1,1,1,1,1,99,1", "of class 99"),
        ("1,1,1,1,-5,1,1,1,1", "ends before it begins"),
    ],
)
def test_rows_that_make_no_sense_are_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(tmp_path, f"{row}\n")


def test_motmetrics_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(4)
    export_labels(labels, writable_format("mot"), tmp_path, "made")
    for camera, boxes in labels.boxes2d.items():
        rows = ask_oracle("motmetrics", tmp_path / f"monday_drive-{camera}/gt/gt.txt")
        counted = boxes.take(~boxes.ignore)
        mine = sorted(
            (int(f) + 1, int(t), *np.round(xyxy, 3).tolist())
            for f, t, xyxy in zip(counted.frame, counted.track_id, counted.xyxy_px, strict=True)
        )
        # motmetrics takes the 1 that pixels count from away.
        theirs = sorted(
            (r[0], r[1], *np.round([r[2], r[3], r[2] + r[4], r[3] + r[5]], 3).tolist()) for r in rows
        )
        assert [row[:2] for row in theirs] == [row[:2] for row in mine]
        np.testing.assert_allclose([row[2:] for row in theirs], [row[2:] for row in mine], atol=2e-3)


def test_trackeval_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(4, classes=("pedestrian",))
    for camera, boxes in labels.boxes2d.items():
        known = np.unique(boxes.track_id[boxes.track_id >= 0])
        small = np.where(boxes.track_id < 0, -1, np.searchsorted(known, boxes.track_id))
        labels.boxes2d[camera] = boxes.replace(track_id=small)  # TrackEval counts up to the largest id
    export_labels(labels, writable_format("mot"), tmp_path, "made")
    found = ask_oracle("trackeval_mot", tmp_path, "monday_drive-front", labels.n_frames)
    boxes = labels.boxes2d["front"]
    counted = boxes.take(~boxes.ignore)
    assert found["GT_Dets"] == len(counted)
    assert found["GT_IDs"] == len(np.unique(counted.track_id))
    assert (found["HOTA"], found["MOTA"], found["IDF1"]) == pytest.approx((1.0, 1.0, 1.0))
