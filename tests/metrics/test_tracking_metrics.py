"""HOTA, CLEAR and identity equal TrackEval's and py-motmetrics' on the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fleetlabel.trackers.metrics import (
    Clear,
    ClearRule,
    Hota,
    Identity,
    Pairs,
    Sequence,
    clear,
    hota,
    identity,
)

Scene = dict[str, Any]
HOTA_FIELDS = ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr")
CLEAR_FIELDS = {
    "MOTA": "mota", "MOTP": "motp", "CLR_TP": "tp", "CLR_FN": "fn", "CLR_FP": "fp", "IDSW": "idsw",
    "Frag": "frag",
    "MT": "mt", "PT": "pt", "ML": "ml", "CLR_Re": "recall", "CLR_Pr": "precision",
}  # fmt: skip


def sequence_of(scene: Scene) -> Sequence:
    return Sequence.from_frames(
        [np.array(ids, np.int64) for ids in scene["truth_ids"]],
        [np.array(ids, np.int64) for ids in scene["prediction_ids"]],
        [np.array(block) for block in scene["similarity"]],
    )


@pytest.fixture(scope="module")
def scenes(random_scene: Callable[[int], Scene]) -> list[Scene]:
    return [random_scene(seed) for seed in range(60)]


@pytest.fixture(scope="module")
def said(ask_oracles: Callable[[Scene], Any], scenes: list[Scene]) -> Any:
    return ask_oracles({"tracking": scenes})


def is_degenerate(scene: Scene) -> bool:
    """One side has nothing at all; TrackEval then leaves ratios at 0, and counts as everywhere."""
    return not any(scene["truth_ids"]) or not any(scene["prediction_ids"])


def test_hota_is_trackevals(scenes: list[Scene], said: Any) -> None:
    for number, scene in enumerate(scenes):
        theirs, ours = said["trackeval"][str(number)]["HOTA"], hota(sequence_of(scene))
        for name in HOTA_FIELDS:
            np.testing.assert_allclose(
                ours.curves[name.lower()], theirs[name], atol=1e-9, err_msg=f"{number} {name}"
            )


def test_clear_is_trackevals(scenes: list[Scene], said: Any) -> None:
    for number, scene in enumerate(scenes):
        theirs, ours = said["trackeval"][str(number)]["CLEAR"], clear(sequence_of(scene)).scores()
        for name, field in CLEAR_FIELDS.items():
            if is_degenerate(scene) and name in ("MOTA", "PT"):
                continue
            assert ours[field] == pytest.approx(theirs[name], abs=1e-9), (number, name)


def test_identity_is_trackevals(scenes: list[Scene], said: Any) -> None:
    for number, scene in enumerate(scenes):
        theirs, ours = said["trackeval"][str(number)]["Identity"], identity(sequence_of(scene))
        assert (ours.idtp, ours.idfn, ours.idfp) == (theirs["IDTP"], theirs["IDFN"], theirs["IDFP"]), number
        for name, score in ours.scores().items():
            assert score == pytest.approx(theirs[name.upper()], abs=1e-9), (number, name)


def test_sequences_combine_as_in_trackeval(scenes: list[Scene], said: Any) -> None:
    sequences = [sequence_of(scene) for scene in scenes]
    ours = Hota.combine([hota(sequence) for sequence in sequences]).curves
    for name in HOTA_FIELDS:
        np.testing.assert_allclose(
            ours[name.lower()], said["combined"]["HOTA"][name], atol=1e-9, err_msg=name
        )
    counted = Clear.combine([clear(sequence) for sequence in sequences]).scores()
    for name, field in CLEAR_FIELDS.items():
        assert counted[field] == pytest.approx(said["combined"]["CLEAR"][name], abs=1e-9), name
    found = Identity.combine([identity(sequence) for sequence in sequences]).scores()
    assert found["idf1"] == pytest.approx(said["combined"]["Identity"]["IDF1"], abs=1e-9)


def test_clear_and_identity_are_motmetrics(scenes: list[Scene], said: Any) -> None:
    for number, scene in enumerate(scenes):
        if is_degenerate(scene):
            continue  # motmetrics gives NaN or infinity
        theirs = said["motmetrics"][number]
        ours = clear(sequence_of(scene), rule=ClearRule.MOTMETRICS)
        counts = (ours.fp, ours.fn, ours.idsw, ours.frag, ours.mt, ours.pt, ours.ml)
        names = ("num_false_positives", "num_misses", "num_switches", "num_fragmentations")
        kinds = ("mostly_tracked", "partially_tracked", "mostly_lost")
        assert counts == tuple(theirs[name] for name in (*names, *kinds)), number
        assert ours.mota == pytest.approx(theirs["mota"], abs=1e-9)
        if ours.tp:
            assert 1 - ours.motp == pytest.approx(theirs["motp"], abs=1e-9)
        for name, score in identity(sequence_of(scene)).scores().items():
            assert score == pytest.approx(theirs[name], abs=1e-9), (number, name)


def test_perfect_tracking_scores_one() -> None:
    frames = np.repeat(np.arange(5), 3)
    ids = np.tile([4, 7, 9], 5)
    rows = np.arange(15)
    sequence = Sequence(frames, ids, frames, ids + 100, Pairs(rows, rows, np.ones(15)))
    assert all(score == pytest.approx(1.0) for score in hota(sequence).scores().values())
    assert (clear(sequence).mota, identity(sequence).idf1) == (1.0, 1.0)
    assert clear(sequence).mt == 3


def test_a_swap_of_identities_is_two_switches() -> None:
    frames = np.repeat(np.arange(4), 2)
    ids = np.tile([0, 1], 4)
    rows = np.arange(8)
    swapped = np.array([0, 1, 0, 1, 1, 0, 1, 0])
    sequence = Sequence(frames, ids, frames, swapped, Pairs(rows, rows, np.ones(8)))
    assert clear(sequence).idsw == 2
    assert clear(sequence, rule=ClearRule.MOTMETRICS).idsw == 2
    assert identity(sequence).idf1 == pytest.approx(0.5)
    assert hota(sequence).scores()["deta"] == pytest.approx(1.0)


def test_nothing_predicted_scores_zero_without_an_error() -> None:
    frames = np.arange(3)
    none = np.empty(0, np.int64)
    empty = Pairs(none, none, np.empty(0))
    missed = Sequence(frames, np.zeros(3), none, none, empty)
    assert (clear(missed).fn, clear(missed).mota, clear(missed).ml) == (3, 0.0, 1)
    assert (hota(missed).scores()["hota"], identity(missed).idf1) == (0.0, 0.0)
    nothing = Sequence(none, none, none, none, empty)
    assert (clear(nothing).mota, hota(nothing).scores()["hota"]) == (0.0, 0.0)


def test_an_identity_cannot_be_in_two_places() -> None:
    none = np.empty(0, np.int64)
    empty = Pairs(none, none, np.empty(0))
    with pytest.raises(ValueError, match="prediction id 5 occurs twice in frame 2"):
        Sequence(none, none, np.array([1, 2, 2]), np.array([5, 5, 5]), empty)
    with pytest.raises(ValueError, match="sort the rows by frame"):
        Sequence(np.array([3, 1]), np.array([0, 1]), none, none, empty)
