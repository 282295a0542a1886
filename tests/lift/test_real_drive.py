"""Accuracy on a real drive with a real detector: what was reached, less a little for other machines' rounding."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.detect import DetectConfig
from fleetlabel.engine.evaluate import Scores, evaluate
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.run import run
from fleetlabel.store import SequenceStore


@pytest.fixture(scope="module")
def cars(
    data_dir: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[float, float], Scores]:
    """Scores of lifting by range."""
    out = tmp_path_factory.mktemp("lift") / "drive.zarr"
    config = RunConfig(
        out=out, model=models_dir / "yolo11n_int8.onnx", detect=DetectConfig(tiles=(3, 2)), workers=1
    )
    outcome = run(data_dir / "pandaset_drive", config)
    assert outcome.labels is not None
    rows = evaluate(SequenceStore.open(out), outcome.labels).sections["lift"]
    return {row.range_m: row for row in rows if row.cls == "car"}


@pytest.mark.slow
def test_detected_cars_within_40_m_are_lifted_to_where_they_are(
    cars: dict[tuple[float, float], Scores],
) -> None:
    scores = cars[0.0, 40.0].values
    assert scores["found"] > 400
    assert scores["lifted"] >= 0.98
    assert scores["within_1m"] >= 0.90
    assert scores["within_0.5m"] >= 0.83
    assert scores["yaw_median_deg"] <= 1.5
    assert scores["yaw_under_8deg"] >= 0.93


@pytest.mark.slow
def test_near_cars_are_lifted_although_pictures_cut_them_off(cars: dict[tuple[float, float], Scores]) -> None:
    scores = cars[0.0, 10.0].values
    assert scores["found"] > 70
    assert scores["within_1m"] >= 0.92


@pytest.mark.slow
def test_cuboids_of_single_frames_are_precise_and_many(cars: dict[tuple[float, float], Scores]) -> None:
    scores = cars[0.0, 40.0].values
    assert scores["ap_2m"] >= 0.70
    assert scores["recall_at_p0.75"] >= 0.80
