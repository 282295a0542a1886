"""AMOTA equals a plain rendering of AB3DMOT's evaluation, row by row and frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fleetlabel.trackers.metrics import Ignorable, ScoredSequence, Sequence, amota

Scene = dict[str, Any]


def with_scores(scene: Scene, seed: int) -> Scene:
    rng = np.random.default_rng(seed)
    return scene | {
        "ignored": [rng.random(len(ids)) < 0.2 for ids in scene["truth_ids"]],
        "ignorable": [rng.random(len(ids)) < 0.2 for ids in scene["prediction_ids"]],
        "score": [
            np.array([np.sin(i) for i in ids]) + rng.normal(0, 0.1, len(ids))
            for ids in scene["prediction_ids"]
        ],
    }


def evaluate_at(scenes: list[Scene], gate: float, threshold: float) -> dict[str, Any]:
    """One pass of AB3DMOT's compute3rdPartyMetrics."""
    out: dict[str, Any] = {"tp": 0, "fn": 0, "fp": 0, "n": 0, "cost": 0.0, "ids": 0, "scores": []}
    for scene in scenes:
        by_track: dict[int, list[float]] = {}
        for ids, scores in zip(scene["prediction_ids"], scene["score"], strict=True):
            for one, score in zip(ids, scores, strict=True):
                by_track.setdefault(one, []).append(score)
        mean = {one: np.mean(scores) for one, scores in by_track.items()}
        told: dict[int, list[int]] = {}
        left_out: dict[int, list[bool]] = {}
        for frame, truth in enumerate(scene["truth_ids"]):
            kept = [k for k, one in enumerate(scene["prediction_ids"][frame]) if mean[one] >= threshold]
            similarity = np.array(scene["similarity"][frame]).reshape(len(truth), len(scene["score"][frame]))[
                :, kept
            ]
            cost = np.where(similarity >= gate, 1 - similarity, 1e3)
            found = {r: c for r, c in zip(*linear_sum_assignment(cost), strict=True) if cost[r, c] < 1e3}
            ids = [scene["prediction_ids"][frame][k] for k in kept]
            for row, one in enumerate(truth):
                ignored = bool(scene["ignored"][frame][row])
                told.setdefault(one, []).append(ids[found[row]] if row in found else -1)
                left_out.setdefault(one, []).append(ignored)
                out["n"] += not ignored
                if row in found:
                    out["tp"] += 1
                    out["cost"] += similarity[row, found[row]]
                    out["scores"].append(mean[ids[found[row]]])
                else:
                    out["fn"] += not ignored
            free = set(range(len(kept))) - set(found.values())
            out["fp"] += sum(not scene["ignorable"][frame][kept[c]] for c in free)
        for one, g in told.items():
            if all(left_out[one]) or all(k == -1 for k in g):
                continue
            last = g[0]
            for f in range(1, len(g)):
                if left_out[one][f]:
                    last = -1
                    continue
                out["ids"] += last not in (g[f], -1) and g[f] != -1 and g[f - 1] != -1
                last = g[f] if g[f] != -1 else last
    return out


def plain_amota(scenes: list[Scene], gate: float) -> tuple[float, float, float]:
    first = evaluate_at(scenes, gate, -1e9)
    total, aim, steps = first["tp"] + first["fn"], 0.0, []
    scores = sorted(first["scores"], reverse=True)
    for i, score in enumerate(scores):
        left = (i + 1) / total
        right = (i + 2) / total if i < len(scores) - 1 else left
        if right - aim < aim - left and i < len(scores) - 1:
            continue
        steps.append((score, aim))
        aim += 1 / 40
    s = a = p = 0.0
    for threshold, recall in steps[1:]:
        r = evaluate_at(scenes, gate, threshold)
        errors = r["fn"] + r["fp"] + r["ids"]
        a += 1 - errors / r["n"]
        s += min(1, max(0, 1 - (errors - (1 - recall) * r["n"]) / (recall * r["n"])))
        p += r["cost"] / r["tp"] if r["tp"] else 0
    return s / 40, a / 40, p / 40


@pytest.mark.parametrize("seed", range(8))
def test_amota_is_that_of_a_plain_loop(seed: int, random_scene: Callable[[int], Scene]) -> None:
    scenes = [with_scores(random_scene(100 + 3 * seed + k), seed) for k in range(3)]
    scored = [
        ScoredSequence(
            Sequence.from_frames(
                [np.array(ids, np.int64) for ids in scene["truth_ids"]],
                [np.array(ids, np.int64) for ids in scene["prediction_ids"]],
                [np.array(block) for block in scene["similarity"]],
            ),
            Ignorable(np.concatenate(scene["ignored"]), np.concatenate(scene["ignorable"])),
            np.concatenate(scene["score"]),
        )
        for scene in scenes
    ]
    for gate in (0.25, 0.5, 0.7):
        ours = amota(scored, gate)
        assert (ours.samota, ours.amota, ours.amotp) == pytest.approx(plain_amota(scenes, gate), abs=1e-9)


def test_nothing_predicted_is_zero() -> None:
    none = np.empty(0, np.int64)
    sequence = Sequence.from_frames([np.array([1, 2])], [none], [np.empty((2, 0))])
    scored = ScoredSequence(sequence, Ignorable(np.zeros(2, np.bool_), np.zeros(0, np.bool_)), np.empty(0))
    assert amota([scored], 0.25).samota == 0.0
    assert amota([scored], 0.25).fn == 2
