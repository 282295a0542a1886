"""Columnar boxes against pandas."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry import quaternion
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source

NAMES = ("car", "pedestrian", "bicycle")
SEEDS = st.integers(0, 2**32 - 1)


def boxes2d(n: int, seed: int = 0, n_frames: int = 10) -> Boxes2D:
    rng = np.random.default_rng(seed)
    return Boxes2D(
        class_names=NAMES,
        frame=np.sort(rng.integers(0, n_frames, n)),
        timestamp_ns=rng.integers(0, 2**62, n),
        class_id=rng.integers(0, 3, n),
        score=rng.random(n),
        track_id=rng.integers(-1, 2**62, n),
        source=rng.integers(0, len(Source), n),
        xyxy_px=rng.normal(size=(n, 4)),
    )


def boxes3d(n: int, seed: int = 0) -> Boxes3D:
    rng = np.random.default_rng(seed)
    return Boxes3D(
        class_names=NAMES,
        frame=np.sort(rng.integers(0, 10, n)),
        timestamp_ns=rng.integers(0, 2**62, n),
        class_id=rng.integers(0, 3, n),
        center_m=rng.normal(size=(n, 3)),
        size_lwh_m=rng.uniform(1, 2, size=(n, 3)),
        q_wxyz=quaternion.normalize(rng.normal(size=(n, 4)) + 1e-3),
    )


def table(boxes: Boxes) -> pd.DataFrame:
    columns = {}
    for name, values in boxes.columns().items():
        for i, column in enumerate(values.T if values.ndim > 1 else [values]):
            columns[f"{name}{i}"] = column
    return pd.DataFrame(columns)


def assert_rows(boxes: Boxes, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table(boxes), expected.reset_index(drop=True))


@given(SEEDS, st.integers(0, 40))
def test_take_as_pandas(seed: int, n: int) -> None:
    boxes, rng = boxes2d(n, seed), np.random.default_rng(seed)
    mask = rng.random(n) < 0.5
    rows = np.flatnonzero(mask)
    for chosen in (mask, rows):
        assert_rows(boxes.take(chosen), table(boxes)[mask])
    assert_rows(boxes.take(slice(1, 5)), table(boxes).iloc[1:5])


@given(SEEDS, st.lists(st.integers(0, 8), min_size=1, max_size=5))
def test_concatenate_is_a_stable_sort_by_frame(seed: int, lengths: list[int]) -> None:
    parts = [boxes3d(n, seed + i) for i, n in enumerate(lengths)]
    expected = pd.concat([table(part) for part in parts]).sort_values("frame0", kind="stable")
    assert_rows(Boxes3D.concatenate(parts), expected)


@given(SEEDS, st.integers(0, 40), st.integers(1, 12))
def test_frame_ptr_as_pandas(seed: int, n: int, n_frames: int) -> None:
    boxes = boxes2d(n, seed, n_frames)
    ptr = boxes.frame_ptr(n_frames)
    expected = table(boxes).groupby("frame0").size().reindex(range(n_frames), fill_value=0)
    assert ptr.dtype == np.int64
    assert ptr[0] == 0
    np.testing.assert_array_equal(np.diff(ptr), expected)
    for frame in range(n_frames):
        assert (boxes.frame[ptr[frame] : ptr[frame + 1]] == frame).all()


@pytest.mark.parametrize("kind", [Boxes2D, Boxes3D])
def test_no_boxes_are_boxes(kind: type[Boxes2D | Boxes3D]) -> None:
    empty = kind.empty(NAMES)
    assert len(empty) == 0
    np.testing.assert_array_equal(empty.frame_ptr(3), [0, 0, 0, 0])
    assert len(kind.concatenate([empty, empty])) == 0
    assert len(empty.take(np.empty(0, np.int64))) == 0
    assert empty.class_labels().tolist() == []
    assert len(kind.empty(()).with_class_names(NAMES)) == 0
    for name in kind.column_names():
        dtype, shape = kind.column_spec(name)
        column = getattr(empty, name)
        assert (column.dtype, column.shape) == (dtype, (0, *shape))
    one = {"class_names": NAMES, "frame": [], "timestamp_ns": [], "class_id": []}
    assert len(Boxes2D(**one, xyxy_px=np.empty((0, 4)))) == 0


def test_what_is_not_given_is_unknown() -> None:
    boxes = boxes3d(4)
    assert (boxes.score == 1).all()
    assert (boxes.track_id == -1).all()
    assert (boxes.source == Source.UNKNOWN).all()
    assert (boxes.detection == -1).all()
    assert np.isnan(boxes.truncation).all()
    assert (boxes.occlusion == -1).all()
    assert not boxes.ignore.any()
    assert np.isnan(boxes.velocity_mps).all()
    assert boxes.velocity_mps.shape == (4, 3)
    assert (boxes.n_points == -1).all()


def test_columns_are_stored_as_declared() -> None:
    for boxes in (boxes2d(5), boxes3d(5)):
        for name in boxes.column_names():
            dtype, shape = boxes.column_spec(name)
            column = getattr(boxes, name)
            assert (column.dtype, column.shape) == (dtype, (5, *shape)), name


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("class_id", [0.5, 1, 2]),
        ("class_id", [0, 1, 65536 + 1]),
        ("class_id", [0, 1, np.nan]),
        ("frame", [0, 1, 2**32]),
        ("source", [0, 1, -1]),
        ("source", [0, 1, 256]),
        ("occlusion", [0, 1, 200]),
        ("ignore", [0, 1, 2]),
        ("track_id", [0, 1, 1e30]),
    ],
)
def test_values_that_a_column_cannot_hold_are_refused(column: str, values: list[float]) -> None:
    with pytest.raises(ValueError, match=f"column {column} has"):
        boxes2d(3).replace(**{column: np.array(values)})


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"column xyxy_px has .*expected \(3, 4\)"):
        boxes2d(3).replace(xyxy_px=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"column score .*expected \(3,\)"):
        boxes2d(3).replace(score=np.zeros(2))
    with pytest.raises(ValueError, match="column frame"):
        boxes2d(3).replace(frame=np.zeros((3, 1)))
    with pytest.raises(TypeError):
        Boxes2D(class_names=NAMES, frame=np.zeros(1), timestamp_ns=np.zeros(1), class_id=np.zeros(1))


def test_unsorted_frames_are_refused_and_the_row_is_named() -> None:
    with pytest.raises(ValueError, match="row 2 is of frame 1, the one before it of 4"):
        boxes2d(3).replace(frame=np.array([0, 4, 1]))
    with pytest.raises(ValueError, match="not sorted"):
        boxes2d(20).take(np.arange(20)[::-1])


@pytest.mark.parametrize("ids", [[0, 1, 3], [-1, 0, 0]])
def test_classes_without_a_name_are_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="there are 3 class names"):
        boxes2d(3).replace(class_id=np.array(ids))


def test_blocks_that_count_classes_differently_are_not_joined() -> None:
    other = boxes2d(2).with_class_names(NAMES[::-1])
    with pytest.raises(ValueError, match="2 different lists"):
        Boxes2D.concatenate([boxes2d(2), other])
    with pytest.raises(ValueError, match="0 different lists"):
        Boxes2D.concatenate([])


@given(SEEDS, st.permutations([*NAMES, "train"]))
def test_other_class_names_keep_every_label(seed: int, names: list[str]) -> None:
    boxes = boxes2d(12, seed)
    again = boxes.with_class_names(names)
    assert again.class_names == tuple(names)
    np.testing.assert_array_equal(again.class_labels(), boxes.class_labels())
    assert boxes.class_labels().tolist() == [NAMES[i] for i in boxes.class_id]


def test_a_class_is_never_lost() -> None:
    boxes = boxes2d(3).replace(class_id=np.array([0, 0, 1]))
    assert boxes.with_class_names(["pedestrian", "car"]).class_id.tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="pedestrian"):
        boxes.with_class_names(["car"])


def test_boxes_travel_between_processes() -> None:
    for boxes in (boxes2d(6), boxes3d(6)):
        again = pickle.loads(pickle.dumps(boxes))
        assert again.class_names == boxes.class_names
        assert_rows(again, table(boxes))


def test_corners_are_those_of_the_geometry() -> None:
    boxes = boxes3d(6)
    expected = cuboids.corners(boxes.center_m, boxes.size_lwh_m, boxes.q_wxyz)
    np.testing.assert_array_equal(boxes.corners_m(), expected)
