"""Runs that nothing needs go, at once and whole; what anything needs stays, whenever the collector is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_care.conftest import Cli, label
from fleet_care.killing import Killed, killed_at
from fleetlabel.engine.fleet.gc import Holding, collect, survey
from fleetlabel.engine.fleet.root import FleetRoot
from fleetlabel.labels import Labels
from fleetlabel.labels.edits import CreateObject
from fleetlabel.labels.records import Record
from fleetlabel.model.errors import CorruptStoreError, StoreError
from fleetlabel.store import SequenceStore, describe, verify
from fleetlabel.store.boxes import part_of
from fleetlabel.store.lease import Lease
from fleetlabel.store.runs import declare_run, find_runs
from store.conftest import MakeStore
from store.drives import boxes2d

STAGES = ("detect", "lift", "track2d", "track3d", "smooth2d", "smooth3d")


def run_ids(store: SequenceStore) -> set[tuple[str, str]]:
    return {
        (stage.name, run.run_id)
        for stage in (store.root / "runs").iterdir()
        if stage.is_dir() and stage.name != "choices"
        for run in find_runs(store, stage.name)
    }


def free(holdings: list[Holding]) -> set[tuple[str, str]]:
    return {(h.stage, h.name) for h in holdings if not h.pinned_by}


# --- on a drive that was labelled -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_labels_and_the_newest_results_were_made_of_stays(
    drive: Path, weights: Path, labelled: SequenceStore
) -> None:
    assert free(survey(labelled)) == set()
    label(drive, weights, labelled.root, detect__conf=0.5)
    before = {name: labelled.labels3d(name).columns() for name in labelled.label_versions()}
    whole = describe(labelled).content_hash
    assert free(collect(labelled)) == set(), "each run is that of a label version"
    assert describe(labelled).content_hash == whole
    assert before.keys() == set(labelled.label_versions())


@pytest.mark.slow
def test_a_superseded_version_and_its_runs_leave_what_there_would_be_without_them(
    drive: Path, weights: Path, labelled: SequenceStore, tmp_path: Path
) -> None:
    old = labelled.latest_labels().name
    label(drive, weights, labelled.root, detect__conf=0.5)
    survived = labelled.latest_labels().name
    told = survey(labelled, superseded=True)
    size = sum(file.stat().st_size for file in labelled.root.rglob("*") if file.is_file())
    gone = [holding for holding in told if not holding.pinned_by]
    assert {h.stage for h in gone} == {*STAGES, "labels"}
    assert [h.name for h in gone if h.stage == "labels"] == [old]
    collect(labelled, superseded=True)
    left = sum(file.stat().st_size for file in labelled.root.rglob("*") if file.is_file())
    assert size - left == sum(h.n_bytes for h in gone), "it costs what was said"
    alone = label(drive, weights, tmp_path / "alone.zarr", detect__conf=0.5)
    assert alone.labels == survived
    assert describe(labelled).content_hash == alone.content_hash
    assert verify(labelled) == []
    assert label(drive, weights, labelled.root, detect__conf=0.5).ledger.stages == ()


@pytest.mark.slow
def test_labels_that_people_edit_keep_the_runs_that_edits_are_solved_with(
    drive: Path, weights: Path, labelled: SequenceStore
) -> None:
    labels = Labels.open(labelled)
    labels.commit([CreateObject(object_id=labels.new_id(), class_name="car")], author="ann")
    label(drive, weights, labelled.root, detect__conf=0.5)
    assert free(survey(labelled, superseded=True)) == set()
    pins = {pin for holding in survey(labelled) for pin in holding.pinned_by}
    assert f"labels {labels.base.name}, which people edit" in pins
    (labelled.root / "journal" / "edits.log").write_bytes(b"x" * 100)
    with pytest.raises(CorruptStoreError, match="damaged"):
        collect(labelled, superseded=True)


def test_a_run_that_was_given_up_goes_once_there_is_a_newer_one(labelled: SequenceStore) -> None:
    given_up = declare_run(labelled, "detect", {"class_names": []})
    labelled.declare_boxes(given_up.table_path("image_02"), ()).write(
        0, labelled.table("sensors/image_02").read(0, 2)
    )
    assert free(survey(labelled)) == set(), "it is the newest"
    newer = declare_run(labelled, "detect", {"class_names": ["car"]})
    assert free(collect(labelled)) == {("detect", given_up.run_id)}
    assert ("detect", newer.run_id) in run_ids(labelled)
    assert not (labelled.root / given_up.path).exists()


# --- whatever there is, and whenever it is killed -------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Runs, each on some of those before, label versions made of some, and edits of versions, as they came."""
    made: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 9))):
        runs = [one["number"] for one in made if one["kind"] == "run"]
        versions = [one["number"] for one in made if one["kind"] == "labels"]
        some = draw(st.lists(st.sampled_from(runs), max_size=2, unique=True)) if runs else []
        kind = draw(st.sampled_from(["run", "run", "labels", *(["edit"] if versions else [])]))
        of = [draw(st.sampled_from(versions))] if kind == "edit" else some
        made.append({"kind": kind, "number": number, "of": of, "stage": draw(st.integers(0, 2))})
    return made


def build(store: SequenceStore, history: list[dict[str, Any]]) -> tuple[dict[int, tuple[str, str]], set[str]]:
    """Makes a history; (stage, run id) of runs by number, and names of the label versions that people edited."""
    runs: dict[int, tuple[str, str]] = {}
    edited: set[str] = set()
    for one in history:
        number = one["number"]
        if one["kind"] == "edit":
            edited.add(f"auto-{one['of'][0]}")
            record = Record(
                sequence=number, at_ns=number, author="ann", reason="", base=f"auto-{one['of'][0]}",
                active_ms=0, request_id=str(number), edits=(),
            )  # fmt: skip
            with store.journal().writing() as writer:
                writer.read()
                writer.append(record.text())
            continue
        # A run builds on one run of each stage at most, as ours do.
        upstream = dict(runs[below] for below in one["of"])
        if one["kind"] == "run":
            stage = STAGES[one["stage"]]
            runs[number] = (stage, declare_run(store, stage, {"number": number}, upstream).run_id)
        else:
            store.write_labels(
                f"auto-{number}", {}, None, class_names=("car",), provenance={"runs": upstream}
            )
    return runs, edited


def needed(store: SequenceStore, versions: set[str]) -> set[tuple[str, str]]:
    """By brute force: whatever can be reached from label versions and from the newest run of each stage."""
    runs = {key: run for stage in STAGES for run in find_runs(store, stage) for key in [(stage, run.run_id)]}
    reached = {key for name in versions for key in store.labels(name).provenance["runs"].items()}
    for stage in STAGES:
        mine = [run for run in runs.values() if run.stage == stage]
        if mine:
            newest = max(mine, key=lambda run: (run.created_ns, run.run_id))
            reached.add((stage, newest.run_id))
    while True:
        more = reached | {below for key in reached & runs.keys() for below in runs[key].upstream.items()}
        if more == reached:
            return reached & runs.keys()
        reached = more


@settings(max_examples=12)
@given(history=histories())
def test_nothing_that_is_needed_is_ever_removed(
    fresh_store: MakeStore, history: list[dict[str, Any]]
) -> None:
    with fresh_store() as store:
        _, edited = build(store, history)
        versions = set(store.label_versions())
        expected = needed(store, versions)
        collect(store)
        assert run_ids(store) == expected, "and nothing else is kept"
        assert set(store.label_versions()) == versions

        newest = {store.latest_labels().name} if versions else set()
        without_runs = {name for name in versions if not store.labels(name).provenance["runs"]}
        collect(store, superseded=True)
        assert set(store.label_versions()) == newest | edited | without_runs
        assert run_ids(store) == needed(store, set(store.label_versions()))


def disposable(store: SequenceStore) -> set[tuple[str, str]]:
    """Gives a store two chains of runs with labels, of which the first can go; what is to stay."""
    chains = []
    for number in range(2):
        detect = declare_run(store, "detect", {"number": number})
        lift = declare_run(store, "lift", {"number": number}, {"detect": detect.run_id})
        for run in (detect, lift):
            table = store.declare_boxes(run.table_path("front"), ("car", "pedestrian"))
            times = store.info.frame_timestamp_ns
            table.write(0, part_of(boxes2d(3), 0, len(times), times))
        chain = {"detect": detect.run_id, "lift": lift.run_id}
        store.write_labels(
            f"auto-{number}", {"front": boxes2d(3)}, None, class_names=("car", "pedestrian"),
            provenance={"runs": chain},
        )  # fmt: skip
        chains.append(chain)
    return set(chains[1].items())


def intact(store: SequenceStore, kept: set[tuple[str, str]]) -> None:
    """Whatever is there is whole, and points to nothing that is not."""
    assert verify(store) == []
    assert kept <= run_ids(store)
    for key in run_ids(store):
        for stage, below in next(r for r in find_runs(store, key[0]) if r.run_id == key[1]).upstream.items():
            assert (stage, below) in run_ids(store)
    for name in store.label_versions():
        assert set(store.labels(name).provenance["runs"].items()) <= run_ids(store)
        store.labels2d(name, "front")


@pytest.mark.parametrize(
    "steps",
    [(10, 40), pytest.param((0, 2, 3, 4, 5, 6, 7, 8, 9, 15, 22, 30, 55, 70), marks=pytest.mark.slow)],
)
def test_killed_at_any_step_it_harms_nothing_and_the_next_call_ends_it(
    fresh_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...]
) -> None:
    with fresh_store() as made:
        kept = disposable(made)
        shutil.copytree(made.root, tmp_path / "made")
    for step in steps:
        store = SequenceStore.open(Path(shutil.copytree(tmp_path / "made", tmp_path / str(step))))
        with killed_at(step, monkeypatch), pytest.raises(Killed):
            collect(store, superseded=True)
        intact(store, kept)
        collect(store, superseded=True)
        assert run_ids(store) == kept
        assert store.label_versions() == ("auto-1",)
        assert list(store.root.rglob(".pending-*")) == []


def collect_slowly(root: Path) -> None:
    unlink = os.unlink

    def slow(*arguments: Any, **options: Any) -> None:
        time.sleep(0.002)
        unlink(*arguments, **options)

    os.unlink = slow
    collect(SequenceStore.open(root), superseded=True)


@pytest.mark.slow
def test_killed_for_good(fresh_store: MakeStore) -> None:
    processes, moments = multiprocessing.get_context("fork"), random.Random(3)
    ended_by = []
    for _ in range(8):
        with fresh_store() as store:
            kept = disposable(store)
            collector = processes.Process(target=collect_slowly, args=(store.root,))
            collector.start()
            time.sleep(moments.uniform(0.0, 0.4))
            with suppress(ProcessLookupError):
                os.kill(collector.pid or 0, signal.SIGKILL)
            collector.join()
            ended_by.append(collector.exitcode)
            intact(store, kept)
            collect(store, superseded=True)
            assert run_ids(store) == kept
            assert list(store.root.rglob(".pending-*")) == []
    assert -signal.SIGKILL in ended_by


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_tells_what_it_would_do_and_does_it(
    fleetlabel: Cli, labelled: SequenceStore, tmp_path: Path
) -> None:
    given_up = declare_run(labelled, "detect", {"config": {"conf": 0.9}, "class_names": []})
    declare_run(labelled, "detect", {"config": {"conf": 0.8}, "class_names": []})
    code, printed, _ = fleetlabel("gc", labelled.root, "--dry-run")
    assert code == 0
    (line,) = (line for line in printed.splitlines() if given_up.run_id in line)
    assert "conf 0.9" in line
    assert "nothing" in line
    assert "1 of 8 runs would be taken away" in printed
    assert (labelled.root / given_up.path).exists()
    code, printed, _ = fleetlabel("gc", labelled.root, "--json")
    told = json.loads(printed)
    assert [one["name"] for one in told["removed"]] == [given_up.run_id]
    assert told["bytes"] > 0
    assert not (labelled.root / given_up.path).exists()
    assert fleetlabel("gc", tmp_path / "nothing")[0] == 1


@pytest.mark.slow
def test_a_fleet_is_left_alone_while_it_is_driven(fleetlabel: Cli, fleet: Path) -> None:
    code, printed, _ = fleetlabel("gc", fleet, "--json")
    assert (code, json.loads(printed)["removed"]) == (0, [])
    with Lease(FleetRoot(fleet).state):
        assert fleetlabel("gc", fleet, "--dry-run")[0] == 0
        for path in (fleet, fleet / "kitti-0000.zarr"):
            code, _, errors = fleetlabel("gc", path)
            assert code == 1
            assert "is being driven by" in errors
    store = SequenceStore.open(fleet / "kitti-0000.zarr")
    with store.writer_lock(), pytest.raises(StoreError, match="being written"):
        collect(store)
