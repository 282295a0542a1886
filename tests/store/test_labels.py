"""Label versions: all or nothing, immutable, and never a mixture."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import StoreError, StoreExistsError, StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore, Table, describe, verify
from fleetlabel.store.boxes import boxes_of, part_of
from fleetlabel.store.runs import declare_run, find_runs, latest_run, open_run
from store.drives import NAMES, assert_same_columns, boxes2d, boxes3d, leftovers


def test_labels_come_back(store: SequenceStore) -> None:
    pictured = {"left": boxes2d(seed=1), "front": boxes2d(0)}
    version = store.write_labels("v 1", pictured, boxes3d(), class_names=NAMES, provenance={"tiles": (2, 1)})
    again = SequenceStore.open(store.root)
    assert again.labels("v 1") == version
    assert (version.cameras, version.has_boxes3d) == (("front", "left"), True)
    assert version.provenance == {"tiles": [2, 1]}
    for camera, boxes in pictured.items():
        assert_same_columns(again.labels2d("v 1", camera).columns(), boxes.columns())
    assert_same_columns(again.labels3d("v 1").columns(), boxes3d().columns())
    assert again.labels3d("v 1").class_names == NAMES


def test_what_a_version_has_not_is_empty(store: SequenceStore) -> None:
    store.write_labels("flat", {"front": boxes2d()}, None, class_names=NAMES, provenance={})
    assert len(store.labels3d("flat")) == 0
    assert len(store.labels2d("flat", "left")) == 0
    store.write_labels("none", {}, None, class_names=(), provenance={})
    assert store.labels3d("none").class_names == ()
    store.write_labels("nothing found", {}, Boxes3D.empty(NAMES), class_names=NAMES, provenance={})
    assert len(store.labels3d("nothing found")) == 0
    assert verify(store) == []


def test_a_version_is_written_once(store: SequenceStore) -> None:
    first = store.write_labels("v", {}, boxes3d(), class_names=NAMES, provenance={"run": 1})
    again = store.write_labels("v", {}, boxes3d(seed=5), class_names=NAMES, provenance={"run": 1})
    assert again.created_ns == first.created_ns
    assert_same_columns(store.labels3d("v").columns(), boxes3d().columns())
    for change in ({"provenance": {"run": 2}}, {"class_names": (*NAMES, "bus")}):
        with pytest.raises(StoreExistsError, match="already has labels named 'v'"):
            store.write_labels(
                "v", {}, boxes3d(), **({"class_names": NAMES, "provenance": {"run": 1}} | change)
            )
    with pytest.raises(StoreExistsError):
        store.write_labels("v", {"front": boxes2d()}, boxes3d(), class_names=NAMES, provenance={"run": 1})


def test_boxes_that_count_classes_otherwise_keep_their_classes(store: SequenceStore) -> None:
    names = ("bus", *reversed(NAMES))
    store.write_labels("v", {"front": boxes2d()}, boxes3d(), class_names=names, provenance={})
    np.testing.assert_array_equal(store.labels2d("v", "front").class_labels(), boxes2d().class_labels())
    np.testing.assert_array_equal(store.labels3d("v").class_labels(), boxes3d().class_labels())
    with pytest.raises(ValueError, match="cannot be counted by"):
        store.write_labels("w", {}, boxes3d(), class_names=("bus",), provenance={})
    assert store.label_versions() == ("v",)


@pytest.mark.parametrize("frames", [[0, 12], [-1, 3]])
def test_boxes_outside_the_sequence_are_refused_not_lost(store: SequenceStore, frames: list[int]) -> None:
    boxes = boxes3d(2).replace(frame=np.array(frames))
    with pytest.raises(StoreError, match=r"boxes are of frames .*, the sequence has frames 0\.\.11"):
        store.write_labels("v", {}, boxes, class_names=NAMES, provenance={})
    assert store.label_versions() == ()


@pytest.mark.parametrize("name", ["", "a/b", "..", "../../x", ".hidden", "zarr.json", "a\0b", "__x"])
def test_names_that_lead_elsewhere_are_refused(store: SequenceStore, name: str) -> None:
    before = sorted(store.root.parent.rglob("*"))
    with pytest.raises(UsageError, match="choose another name"):
        store.write_labels(name, {}, None, class_names=NAMES, provenance={})
    assert sorted(store.root.parent.rglob("*")) == before


def test_a_camera_that_does_not_exist_is_refused(store: SequenceStore) -> None:
    with pytest.raises(StoreNotFoundError, match="has no sensor 'rear'"):
        store.write_labels("v", {"rear": boxes2d()}, None, class_names=NAMES, provenance={})


def interrupted(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch, seed: int, run: int, after: int
) -> None:
    """Writes labels and dies after some of their tables."""
    real, written = Table.write, []

    def dies(self: Table, *args: object, **more: object) -> object:
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(self.path)
        return real(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        write(store, seed, run)
    monkeypatch.undo()


def write(store: SequenceStore, seed: int, run: int) -> None:
    pictured = {"front": boxes2d(seed=seed), "left": boxes2d(seed=seed + 1)}
    store.write_labels("v", pictured, boxes3d(seed=seed), class_names=NAMES, provenance={"run": run})


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_version_is_not_there_and_is_finished_by_the_same_run(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    interrupted(store, monkeypatch, seed=1, run=1, after=after)
    assert store.label_versions() == ()
    assert verify(store) == []
    with pytest.raises(StoreNotFoundError, match="has no labels 'v'; it has"):
        store.labels("v")
    with pytest.raises(StoreNotFoundError, match="has no labels yet"):
        store.latest_labels()
    committed = [
        table.path for table in describe(store).tables if table.parts and table.path.startswith("labels")
    ]
    assert len(committed) == after
    write(store, seed=1, run=1)
    assert_same_columns(store.labels2d("v", "front").columns(), boxes2d(seed=1).columns())
    assert verify(store) == []


def test_what_another_run_left_unfinished_is_not_mixed_in(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(store, monkeypatch, seed=1, run=1, after=2)
    write(store, seed=5, run=2)
    assert_same_columns(store.labels2d("v", "front").columns(), boxes2d(seed=5).columns())
    assert_same_columns(store.labels2d("v", "left").columns(), boxes2d(seed=6).columns())
    assert_same_columns(store.labels3d("v").columns(), boxes3d(seed=5).columns())
    assert store.labels("v").provenance == {"run": 2}
    assert leftovers(store.root) == []


def test_the_latest_version_is_people_s_or_the_machine_s_before_the_source_s(store: SequenceStore) -> None:
    store.write_labels("b", {}, None, class_names=NAMES, provenance={})
    store.write_labels("a", {}, None, class_names=NAMES, provenance={})
    store.write_labels("ground_truth", {}, None, class_names=NAMES, provenance={})
    assert store.latest_labels().name == "a"


def test_a_stage_s_own_columns_are_left_out_of_its_boxes(store: SequenceStore) -> None:
    boxes = boxes3d()
    extra = {"detection_by_camera": np.arange(2 * len(boxes), dtype=np.int32).reshape(-1, 2)}
    part = part_of(boxes, 0, 12, store.info.frame_timestamp_ns, extra)
    store.declare_boxes("runs/lift/1/all", NAMES, cameras=["front", "left"]).write(0, part)
    assert_same_columns(store.read_boxes("runs/lift/1/all", Boxes3D).columns(), boxes.columns())
    some = store.read_boxes("runs/lift/1/all", Boxes3D, 3, 7)
    assert_same_columns(some.columns(), boxes.take((boxes.frame >= 3) & (boxes.frame < 7)).columns())
    kept = store.table("runs/lift/1/all").read(columns=("detection_by_camera",))
    assert_same_columns(kept.flat, extra)


def test_parts_of_boxes_and_boxes_of_parts() -> None:
    boxes, times = boxes2d(), np.arange(12, dtype=np.int64)
    whole = boxes_of(part_of(boxes, 0, 12, times), Boxes2D, NAMES, 0)
    assert_same_columns(whole.columns(), boxes.columns())
    with pytest.raises(ValueError, match="sum of counts"):  # boxes of other frames would be lost
        part_of(boxes, 0, 6, times[:6])


# --- runs -----------------------------------------------------------------------------------------------------------


def test_a_run_is_what_it_was_made_with(store: SequenceStore) -> None:
    run = declare_run(store, "detect", {"model": "m", "tiles": (2, 1)})
    assert declare_run(store, "detect", {"tiles": [2, 1], "model": "m"}) == run
    others = [
        declare_run(store, "detect", {"model": "m", "tiles": (1, 2)}),
        declare_run(store, "detect", {"model": "m", "tiles": (2, 1)}, {"ingest": "x"}),
        declare_run(store, "lift", {"model": "m", "tiles": (2, 1)}),
    ]
    assert len({run.run_id, *(other.run_id for other in others)}) == 4
    assert open_run(store, "detect", run.run_id) == run
    assert find_runs(store, "detect") == (run, *others[:2])
    assert latest_run(store, "detect") == others[1]
    assert verify(store) == []


def test_runs_that_are_not_there(store: SequenceStore) -> None:
    assert find_runs(store, "detect") == ()
    with pytest.raises(StoreNotFoundError, match="no detect run yet"):
        latest_run(store, "detect")
    run = declare_run(store, "detect", {})
    for run_id in ("nope", "", "../lift"):
        with pytest.raises(StoreNotFoundError, match=f"it has .*{run.run_id}"):
            open_run(store, "detect", run_id)
    with pytest.raises(ValueError, match="JSON"):
        declare_run(store, "detect", {"conf": float("nan")})
