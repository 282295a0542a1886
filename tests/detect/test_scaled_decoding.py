"""Pictures that are decoded at a fraction of their size cost no accuracy: measured against a real drive's truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.detect import DetectConfig
from fleetlabel.engine.evaluate import evaluate
from fleetlabel.engine.ingest import GROUND_TRUTH
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.store import SequenceStore

TOLERANCE = 0.005  # half a point
# Of all 867 cars within 40 m. Of the 447 that nothing hides, two make half a point, and chance as much: there, scaled
# pictures find four less (0.790, 0.799), while of all they find two more.
ALL_M = (0.0, 40.0)
MEASURED = ("recall", "ap_50")


@pytest.mark.slow
def test_recall_and_precision_are_those_of_whole_pictures(
    data_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    store = tmp_path / "drive.zarr"
    base = RunConfig(out=store, model=models_dir / "yolo11n_int8.onnx")
    pipeline.ingest(data_dir / "pandaset_drive", base)
    scores = {}
    for scaled in (True, False):
        config = base.model_copy(update={"detect": DetectConfig(dct_scaling=scaled)})
        outcome = pipeline.label(store, config.model_copy(update={"labels": f"scaled-{scaled}"}))
        assert outcome.labels is not None
        report = evaluate(SequenceStore.open(store), outcome.labels, GROUND_TRUTH)
        scores[scaled] = {
            (title, row.cls, row.range_m, name): value
            for title, rows in report.sections.items()
            for row in rows
            for name, value in row.values.items()
            if row.cls == "car" and title.startswith("2D") and name in MEASURED and row.range_m == ALL_M
        }
    assert len(scores[True]) > 1
    assert scores[True].keys() == scores[False].keys()
    for key, value in scores[False].items():
        assert scores[True][key] > value - TOLERANCE, key
