"""Of overlapping boxes the best stays: against ultralytics, and by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.detect.heads import Head, read_head
from fleetlabel.engine.detect.nms import non_maximum_suppression
from fleetlabel.geometry.iou import iou_2d


def random_boxes(seed: int, n: int, n_classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (n, 2))], axis=1)
    return boxes, rng.random(n).astype(np.float32), rng.integers(0, n_classes, n).astype(np.int16)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.floats(0.05, 1.0))
def test_kept_boxes_do_not_overlap_and_dropped_ones_do(seed: int, n: int, iou: float) -> None:
    boxes, score, class_id = random_boxes(seed, n)
    kept = non_maximum_suppression(boxes, score, class_id, iou=iou, max_detections=1000)
    assert (np.diff(score[kept]) <= 0).all()
    overlap = iou_2d(boxes, boxes) * (class_id[:, None] == class_id)
    among_kept = overlap[np.ix_(kept, kept)] - np.eye(len(kept))
    assert (among_kept <= iou + 1e-12).all()
    for row in set(range(n)) - set(kept.tolist()):
        better = kept[score[kept] >= score[row]]
        assert (overlap[row, better] > iou - 1e-12).any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("iou", [0.3, 0.45, 0.7])
def test_same_as_ultralytics(seed: int, iou: float) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ultralytics", reason="ultralytics, the oracle, is not installed")
    from fleetlabel.engine.detect.torch_backend import prepare_ultralytics

    prepare_ultralytics()
    from ultralytics.utils.nms import non_max_suppression as oracle_nms

    rng = np.random.default_rng(seed)
    output = np.concatenate(
        [rng.uniform(0, 320, (2, 400)), rng.uniform(4, 90, (2, 400)), rng.random((6, 400)) ** 4]
    )
    output = output.astype(np.float32)
    oracle = oracle_nms(torch.from_numpy(output[None].copy()), conf_thres=0.2, iou_thres=iou, max_det=100)[
        0
    ].numpy()
    found = read_head(output, Head.GRID, 0.2)
    kept = non_maximum_suppression(
        found.xyxy_px.astype(np.float64), found.score, found.class_id, iou=iou, max_detections=100
    )
    assert len(kept) == len(oracle) > 10
    np.testing.assert_allclose(found.xyxy_px[kept], oracle[:, :4], atol=1e-3)
    np.testing.assert_array_equal(found.score[kept], oracle[:, 4])
    np.testing.assert_array_equal(found.class_id[kept], oracle[:, 5])


def test_equal_scores_are_taken_in_order() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], dtype=np.float64)
    score = np.full(3, 0.5, dtype=np.float32)
    kept = non_maximum_suppression(boxes, score, np.zeros(3, np.int16), iou=0.5, max_detections=9)
    assert kept.tolist() == [0, 2]


def test_at_most_max_detections_the_best() -> None:
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(5)], dtype=np.float64)
    score = np.array([0.1, 0.9, 0.3, 0.8, 0.2], dtype=np.float32)
    kept = non_maximum_suppression(boxes, score, np.zeros(5, np.int16), iou=0.5, max_detections=2)
    assert kept.tolist() == [1, 3]


def test_half_an_object_from_another_view_gives_way_but_one_behind_another_stays() -> None:
    boxes = np.array([[0, 0, 100, 100], [0, 0, 45, 100]], dtype=np.float64)
    score, car = np.array([0.6, 0.5], dtype=np.float32), np.zeros(2, np.int16)
    same, other = np.zeros(2, np.int16), np.array([0, 1], np.int16)
    assert len(non_maximum_suppression(boxes, score, car, iou=0.6, max_detections=9, view=same)) == 2
    assert len(non_maximum_suppression(boxes, score, car, iou=0.6, max_detections=9, view=other)) == 1


def test_a_cut_box_gives_way_to_the_whole_one_even_with_a_better_score() -> None:
    boxes = np.array([[0, 0, 70, 100], [0, 0, 120, 100]], dtype=np.float64)
    score, car = np.array([0.9, 0.5], dtype=np.float32), np.zeros(2, np.int16)
    kept = non_maximum_suppression(
        boxes,
        score,
        car,
        iou=0.6,
        max_detections=9,
        view=np.array([1, 0], np.int16),
        cut=np.array([True, False]),
    )
    assert kept.tolist() == [1]


def test_a_cut_box_that_nothing_covers_stays() -> None:
    boxes = np.array([[0, 0, 70, 100], [200, 0, 300, 100]], dtype=np.float64)
    kept = non_maximum_suppression(
        boxes,
        np.array([0.9, 0.5], dtype=np.float32),
        np.zeros(2, np.int16),
        iou=0.6,
        max_detections=9,
        cut=np.array([True, False]),
    )
    assert kept.tolist() == [0, 1]


def test_rows_that_are_not_numbers_are_dropped() -> None:
    output = np.zeros((6, 3), dtype=np.float32)
    output[:4] = 10
    output[4] = [0.9, np.nan, 0.8]
    output[0, 2] = np.inf
    found = read_head(output, Head.GRID, 0.5)
    assert found.score.tolist() == [np.float32(0.9)]


def test_end_to_end_rows() -> None:
    output = np.array([[1, 2, 3, 4, 0.9, 7], [1, 2, 3, 4, 0.05, 2]], dtype=np.float32)
    found = read_head(output, Head.END_TO_END, 0.1)
    assert found.class_id.tolist() == [7]
    assert found.xyxy_px.tolist() == [[1, 2, 3, 4]]
