"""Random scenes, and the evaluators that they are compared with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def ask_oracles(
    oracle_python: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict[str, Any]], Any]:
    """Hands scenes to TrackEval, py-motmetrics and nuScenes' devkit and gives back what they say."""

    def ask(request: dict[str, Any]) -> Any:
        path = tmp_path_factory.mktemp("oracles") / "scenes.json"
        path.write_text(json.dumps(request))
        script = Path(__file__).with_name("oracles.py")
        done = subprocess.run(
            [oracle_python, str(script), str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@pytest.fixture(scope="session")
def random_scene() -> Callable[[int], dict[str, Any]]:
    """Tracks that drift, vanish, swap identities and crowd each other, with clutter; by seed."""

    def scene(seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        n_frames, n_objects = int(rng.integers(1, 30)), int(rng.integers(0, 8))
        crowding = rng.uniform(0.5, 6.0)
        place = rng.uniform(0, crowding, (n_objects, 2))
        speed = rng.normal(0, 0.08, (n_objects, 2))
        identity = rng.permutation(50)[:n_objects]
        told = rng.permutation(90)[:n_objects]
        frames: dict[str, list[Any]] = {"truth_ids": [], "prediction_ids": [], "similarity": []}
        for _ in range(n_frames):
            place = place + speed
            if n_objects >= 2 and rng.random() < 0.15:
                one, other = rng.permutation(n_objects)[:2]
                told[[one, other]] = told[[other, one]]
            if n_objects and rng.random() < 0.1:
                told[rng.integers(n_objects)] = 100 + rng.integers(50)
                told = np.where(
                    np.isin(np.arange(n_objects), np.unique(told, return_index=True)[1]), told, -1
                )
                told[told < 0] = 200 + np.flatnonzero(told < 0)
            seen, predicted = rng.random(n_objects) < 0.9, rng.random(n_objects) < 0.8
            truth = _squares(place[seen])
            around = place[predicted] + rng.normal(0, 0.15, (int(predicted.sum()), 2))
            n_clutter = int(rng.integers(0, 3))
            boxes = _squares(np.concatenate([around, rng.uniform(0, crowding, (n_clutter, 2))]))
            ids = np.concatenate([told[predicted], 1000 + rng.permutation(20)[:n_clutter]])
            shuffled = rng.permutation(len(ids))
            frames["truth_ids"].append(identity[seen].tolist())
            frames["prediction_ids"].append(ids[shuffled].tolist())
            frames["similarity"].append(_iou(truth, boxes[shuffled]).tolist())
        return frames

    return scene


def _squares(center: np.ndarray) -> np.ndarray:
    return np.concatenate([center - 0.5, center + 0.5], axis=1)


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    return shared / (2.0 - shared)
