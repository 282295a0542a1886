"""Average precision is nuScenes'; operating points and ignored rows behave as a reader of a report
expects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fleetlabel.trackers.metrics import (
    Ignorable,
    detection_ap,
    detection_curve,
    pairs_by_iou_2d,
    pairs_within,
)

Scene = dict[str, Any]


def random_detections(seed: int) -> Scene:
    rng = np.random.default_rng(seed)
    n_truth, n_predicted = int(rng.integers(1, 60)), int(rng.integers(1, 80))
    truth_frame, frame = np.sort(rng.integers(0, 6, n_truth)), np.sort(rng.integers(0, 6, n_predicted))
    truth = rng.uniform(-12, 12, (n_truth, 3))
    place = rng.uniform(-12, 12, (n_predicted, 3))
    for row in range(n_predicted):  # most predictions are near something
        same = np.flatnonzero(truth_frame == frame[row])
        if len(same) and rng.random() < 0.7:
            place[row] = truth[rng.choice(same)] + rng.normal(0, 0.8, 3)
    score = np.round(rng.random(n_predicted), 2 if seed % 2 else 6)  # ties, too
    return {
        "truth_frame": truth_frame.tolist(),
        "truth_m": truth.tolist(),
        "prediction_frame": frame.tolist(),
        "prediction_m": place.tolist(),
        "score": score.tolist(),
    }


def brute_force_ap(scene: Scene, limit_m: float) -> float:
    order = sorted(range(len(scene["score"])), key=lambda row: (scene["score"][row], row), reverse=True)
    free = set(range(len(scene["truth_m"])))
    hits = []
    for row in order:
        near = [
            (np.hypot(*np.subtract(scene["truth_m"][t], scene["prediction_m"][row])[:2]), t)
            for t in sorted(free)
            if scene["truth_frame"][t] == scene["prediction_frame"][row]
        ]
        best = min(near, default=(np.inf, -1))
        hits.append(best[0] < limit_m)
        if hits[-1]:
            free.remove(best[1])
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    recall = np.cumsum(hits) / len(scene["truth_m"])
    at = np.interp(np.linspace(0, 1, 101), recall, precision, right=0)[11:]
    return float(np.clip(at - 0.1, 0, None).mean() / 0.9)


def curves(scene: Scene) -> Any:
    names = ("truth_frame", "truth_m", "prediction_frame", "prediction_m", "score")
    return detection_ap(*(np.array(scene[name]) for name in names))


@pytest.mark.parametrize("seed", range(12))
def test_average_precision_is_that_of_a_plain_loop(seed: int) -> None:
    scene = random_detections(seed)
    for limit_m, curve in curves(scene).items():
        assert curve.average_precision() == pytest.approx(brute_force_ap(scene, limit_m), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_interpolated_precision_is_that_of_a_plain_loop(seed: int) -> None:
    """COCO's rule in words: at each recall, the best precision of all thresholds that reach it."""
    for curve in curves(random_detections(seed)).values():
        reached = [
            (sum(curve.hit[:k]) / curve.n_truth, sum(curve.hit[:k]) / k) for k in range(1, len(curve.hit) + 1)
        ]
        wanted = [
            max((precision for recall, precision in reached if recall >= at), default=0.0)
            for at in np.linspace(0, 1, 101)
        ]
        assert curve.interpolated_precision() == pytest.approx(np.mean(wanted), abs=1e-12)


def test_average_precision_is_that_of_the_nuscenes_devkit(ask_oracles: Callable[[Scene], Any]) -> None:
    scenes = [random_detections(seed) for seed in range(40)]
    theirs = ask_oracles({"detection": scenes})["nuscenes"]
    if theirs is None:
        pytest.skip(
            "nuscenes-devkit is not in the oracles' environment: pip install --no-deps nuscenes-devkit"
        )
    for scene, said in zip(scenes, theirs, strict=True):
        for limit_m, curve in curves(scene).items():
            assert curve.average_precision() == pytest.approx(said[str(limit_m)], abs=1e-9)


def test_operating_points() -> None:
    frames = np.zeros(4, np.int64)
    at = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0]])
    predicted = np.array([[0.1, 0], [10, 0.1], [50, 0], [20, 0], [60, 0]])
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    none = Ignorable(np.zeros(4, np.bool_), np.zeros(5, np.bool_))
    curve = detection_curve(pairs_within(frames, at, np.zeros(5, np.int64), predicted, 2.0), score, none)
    assert curve.at(0.75) == (0.5, 1.0)
    assert curve.at(0.0) == (0.75, 0.6)
    assert curve.best_recall(0.75) == (0.75, 0.6)
    assert curve.best_recall(1.0) == (0.5, 0.8)


def test_predictions_of_equal_score_stand_or_fall_together() -> None:
    frames = np.zeros(2, np.int64)
    at = np.array([[0.0, 0], [10, 0]])
    predicted = np.array([[0.0, 0], [10, 0], [50, 0]])
    none = Ignorable(np.zeros(2, np.bool_), np.zeros(3, np.bool_))
    pairs = pairs_within(frames, at, np.zeros(3, np.int64), predicted, 2.0)
    curve = detection_curve(pairs, np.array([0.5, 0.5, 0.5]), none)
    assert curve.best_recall(0.9) == (0.0, np.inf)


def test_ignored_truth_is_no_miss_and_what_finds_it_is_no_mistake() -> None:
    truth = np.array([[0.0, 0, 10, 10], [100, 0, 110, 10]])
    predicted = np.array([[0.0, 0, 10, 10], [100, 0, 110, 10], [200, 0, 210, 10], [300, 0, 310, 10]])
    frames, score = np.zeros(4, np.int64), np.array([0.9, 0.8, 0.7, 0.6])
    pairs = pairs_by_iou_2d(frames[:2], truth, frames, predicted)
    ignorable = Ignorable(np.array([False, True]), np.array([False, False, False, True]))
    curve = detection_curve(pairs, score, ignorable)
    assert (curve.n_truth, curve.score.tolist(), curve.hit.tolist()) == (1, [0.9, 0.7], [True, False])


def test_no_truth_has_no_average_precision_and_no_prediction_scores_zero() -> None:
    none, nowhere = np.empty(0, np.int64), np.empty((0, 3))
    one = np.zeros(1, np.int64)
    without_truth = detection_ap(none, nowhere, one, np.zeros((1, 3)), np.ones(1))[2.0]
    assert np.isnan(without_truth.average_precision())
    assert np.isnan(without_truth.interpolated_precision())
    without_predictions = detection_ap(one, np.zeros((1, 3)), none, nowhere, np.empty(0))[2.0]
    assert without_predictions.average_precision() == 0.0
    assert without_predictions.interpolated_precision() == 0.0
    assert without_predictions.best_recall(0.75) == (0.0, np.inf)
