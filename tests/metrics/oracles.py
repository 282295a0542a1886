"""Runs TrackEval, py-motmetrics and, where installed, nuScenes' devkit on scenes, in their own environment.

Usage: ``python oracles.py scenes.json``; prints results as JSON. Imports nothing of FleetLabel.
"""

# ruff: noqa: B905, NPY001, NPY201

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np


def trackeval_scores(scene):
    with contextlib.redirect_stdout(io.StringIO()):
        import trackeval

        metrics = [
            trackeval.metrics.HOTA(),
            trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
            trackeval.metrics.Identity({"PRINT_CONFIG": False}),
        ]
        data = {
            "gt_ids": [np.array(ids, dtype=int) for ids in scene["truth_ids"]],
            "tracker_ids": [np.array(ids, dtype=int) for ids in scene["prediction_ids"]],
            "similarity_scores": [
                np.array(s, dtype=float).reshape(len(g), len(p))
                for s, g, p in zip(scene["similarity"], scene["truth_ids"], scene["prediction_ids"])
            ],
            "num_timesteps": len(scene["truth_ids"]),
        }
        data["num_gt_dets"] = sum(map(len, data["gt_ids"]))
        data["num_tracker_dets"] = sum(map(len, data["tracker_ids"]))
        for side, key in (("gt_ids", "num_gt_ids"), ("tracker_ids", "num_tracker_ids")):
            values = np.unique(np.concatenate([np.empty(0, int), *data[side]]))
            data[key] = len(values)
            data[side] = [np.searchsorted(values, ids) for ids in data[side]]
        result = {}
        for metric in metrics:
            result[metric.get_name()] = metric.eval_sequence(data)
    return result


def trackeval_combined(per_scene):
    import trackeval

    with contextlib.redirect_stdout(io.StringIO()):
        metrics = [
            trackeval.metrics.HOTA(),
            trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
            trackeval.metrics.Identity({"PRINT_CONFIG": False}),
        ]
        return {
            m.get_name(): m.combine_sequences({str(i): r[m.get_name()] for i, r in enumerate(per_scene)})
            for m in metrics
        }


def motmetrics_scores(scene, threshold=0.5):
    import motmetrics as mm

    mm.lap.default_solver = "scipy"  # motmetrics 1.4 picks a solver that is not installed
    accumulator = mm.MOTAccumulator(auto_id=True)
    for g, p, s in zip(scene["truth_ids"], scene["prediction_ids"], scene["similarity"]):
        similarity = np.array(s, dtype=float).reshape(len(g), len(p))
        distance = np.where(similarity >= threshold, 1 - similarity, np.nan)
        accumulator.update(g, p, distance)
    names = ["mota", "motp", "num_switches", "num_false_positives", "num_misses", "num_fragmentations"]
    names += ["mostly_tracked", "partially_tracked", "mostly_lost", "idf1", "idp", "idr"]
    row = mm.metrics.create().compute(accumulator, metrics=names, name="scene").iloc[0]
    return {name: float(row[name]) for name in names}


def nuscenes_ap(scene):
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.utils import center_distance
    from nuscenes.eval.detection.algo import accumulate, calc_ap
    from nuscenes.eval.detection.data_classes import DetectionBox

    def boxes(frames, centers, scores):
        found = EvalBoxes()
        for frame, center, score in zip(frames, centers, scores):
            box = DetectionBox(
                sample_token=str(frame), translation=tuple(center), detection_name="car",
                detection_score=score, ego_translation=(1.0, 1.0, 0.0), size=(1.0, 1.0, 1.0),
            )  # fmt: skip
            found.add_boxes(str(frame), [box])
        return found

    truth = boxes(scene["truth_frame"], scene["truth_m"], [-1.0] * len(scene["truth_frame"]))
    predicted = boxes(scene["prediction_frame"], scene["prediction_m"], scene["score"])
    return {
        str(limit): calc_ap(accumulate(truth, predicted, "car", center_distance, limit), 0.1, 0.1)
        for limit in (0.5, 1.0, 2.0, 4.0)
    }


def plain(value):
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return np.asarray(value, dtype=float).tolist()


def main(path):
    request = json.loads(Path(path).read_text())
    np.asfarray = lambda a: np.asarray(a, dtype=float)  # gone from numpy 2
    np.float = float
    result = {}
    if "tracking" in request:
        scores = [trackeval_scores(scene) for scene in request["tracking"]]
        result["trackeval"] = plain({str(i): s for i, s in enumerate(scores)})
        result["combined"] = plain(trackeval_combined(scores))
        result["motmetrics"] = [motmetrics_scores(scene) for scene in request["tracking"]]
    if "detection" in request:
        try:
            import nuscenes  # noqa: F401

            result["nuscenes"] = [nuscenes_ap(scene) for scene in request["detection"]]
        except ImportError:
            result["nuscenes"] = None
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
