"""The content hash: the same however, wherever and whenever the content was written, another for any other content."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SequenceInfo, SequenceStore, Table, describe, verify
from fleetlabel.store.boxes import part_of
from fleetlabel.store.integrity import input_hash
from store.conftest import MakeStore
from store.drives import NAMES, boxes2d, boxes3d, drive, pictures, sweeps, write_range

N = 12
CUTS = st.sets(st.integers(1, N - 1), max_size=3).map(lambda cuts: [0, *sorted(cuts), N])


def fill(store: SequenceStore, cuts: list[int], order: Callable[[list[Any]], list[Any]] = list) -> None:
    """All sensors and a stage, cut as told, in any order."""
    boxes = boxes3d()
    work: list[tuple[str, int, Part]] = []
    for start, stop in pairwise(cuts):
        mine = boxes.take((boxes.frame >= start) & (boxes.frame < stop))
        times = store.info.frame_timestamp_ns[start:stop]
        stage = part_of(mine, start, stop, times)
        state = {"tracker": np.random.default_rng(start).normal(size=5)}
        work += [
            ("sensors/front", start, pictures(seed=1).take(start, stop)),
            ("sensors/top", start, sweeps().take(start, stop)),
            ("runs/lift/1/all", start, Part(stage.samples, stage.counts, stage.flat, state)),
        ]
    store.declare_boxes("runs/lift/1/all", NAMES)
    for path, start, part in order(work):
        store.declare_frames_table(path, store.table(path).attributes if store.has_table(path) else None)
        store.table(path).write(start, part, provenance={"at": time.time_ns()})


def content_hash(store: SequenceStore) -> str:
    return describe(SequenceStore.open(store.root)).content_hash


def test_it_does_not_depend_on_how_samples_were_cut_or_in_which_order(fresh_store: MakeStore) -> None:
    with fresh_store(N) as whole:
        fill(whole, [0, N])
        expected, inputs = content_hash(whole), input_hash(whole)

    @settings(max_examples=7)
    @given(CUTS, st.randoms())
    def any_other_way(cuts: list[int], random: Any) -> None:
        with fresh_store(N) as store:
            fill(store, cuts, lambda work: random.sample(work, len(work)))
            assert content_hash(store) == expected
            assert input_hash(store) == inputs

    any_other_way()


def test_it_does_not_depend_on_processes(tmp_path: Path, processes: ForkServerContext) -> None:
    hashes = set()
    for name, ranges in (("one", [(0, 12)]), ("three", [(0, 3), (3, 8), (8, 12)])):
        store = SequenceStore.create(tmp_path / name, drive())
        store.sensor_table("top")
        ready = processes.Barrier(len(ranges))
        for start, stop in ranges:
            mine, theirs = processes.Pipe(duplex=False)
            args = (store.root, "sensors/top", sweeps(), start, stop, ready, theirs)
            processes.Process(target=write_range, args=args).start()
            ranges[ranges.index((start, stop))] = mine
        assert [told.recv() for told in ranges] == [None] * len(ranges)
        hashes.add(content_hash(store))
    assert len(hashes) == 1


def test_it_survives_a_copy_and_another_name_of_the_folder(store: SequenceStore, tmp_path: Path) -> None:
    fill(store, [0, 5, N])
    subprocess.run(["cp", "-r", str(store.root), str(tmp_path / "copy")], check=True)
    shutil.move(tmp_path / "copy", tmp_path / "elsewhere.zarr")
    copy = SequenceStore.open(tmp_path / "elsewhere.zarr")
    assert content_hash(copy) == content_hash(store)
    assert verify(copy) == []


def flipped(part: Part, kind: str, name: str) -> Part:
    """The part with one bit of one value of a column changed."""
    columns = {key: dict(getattr(part, key)) for key in ("samples", "flat")}
    column = np.array(columns[kind][name], order="C")
    column.reshape(-1).view(np.uint8)[column.nbytes // 2] ^= 1
    columns[kind][name] = column
    return Part(columns["samples"], part.counts, columns["flat"])


def test_every_value_of_every_column_counts(fresh_store: MakeStore) -> None:
    whole = part_of(boxes3d(), 0, N, drive().frame_timestamp_ns)
    variants = [whole]
    variants += [flipped(whole, "samples", name) for name in whole.samples]
    variants += [flipped(whole, "flat", name) for name in whole.flat]
    moved = whole.counts.copy()  # the same rows, one of them in the frame before
    row = int(np.flatnonzero(moved[1:])[0]) + 1
    moved[row] -= 1
    moved[row - 1] += 1
    variants.append(Part(whole.samples, moved, whole.flat))
    hashes = []
    for variant in variants:
        with fresh_store(N) as store:
            store.declare_boxes("runs/lift/1/all", NAMES).write(0, variant)
            hashes.append(content_hash(store))
    assert len(set(hashes)) == len(variants)


def test_names_types_classes_places_and_lengths_count(fresh_store: MakeStore) -> None:
    column = np.arange(N, dtype=np.int64)
    zeros = np.zeros(N, np.int64)
    tables: list[tuple[str, dict[str, Any], int, int, Part]] = [
        ("runs/a", {}, N, 0, Part({"x": column}, zeros)),
        ("runs/b", {}, N, 0, Part({"x": column}, zeros)),
        ("runs/a", {"class_names": ["car"]}, N, 0, Part({"x": column}, zeros)),
        ("runs/a", {"class_names": ["bus"]}, N, 0, Part({"x": column}, zeros)),
        ("runs/a", {}, N + 1, 0, Part({"x": column}, zeros)),
        ("runs/a", {}, N + 1, 1, Part({"x": column}, zeros)),
        ("runs/a", {}, N, 0, Part({"y": column}, zeros)),
        ("runs/a", {}, N, 0, Part({"x": column.view(np.float64)}, zeros)),
        ("runs/a", {}, N, 0, Part({"x": column.view(np.uint64)}, zeros)),
        ("runs/a", {}, N, 0, Part({"x": column.view(np.int32).reshape(N, 2)}, zeros)),
        ("runs/a", {}, N, 0, Part({}, zeros + 1, {"x": column})),
        ("runs/a", {}, N, 0, Part({}, zeros)),
    ]
    hashes = []
    for path, attributes, length, start, part in tables:
        with fresh_store(N) as store:
            Table.declare(store.root, path, length, attributes).write(start, part)
            hashes.append(content_hash(store))
    assert len(set(hashes)) == len(tables)


def test_labels_of_another_version_or_class_list_count(fresh_store: MakeStore) -> None:
    hashes = []
    for version, names in (("a", NAMES), ("b", NAMES), ("a", (*NAMES, "train"))):
        with fresh_store(N) as store:
            cuboids = boxes3d().with_class_names(names)
            pictured = {"front": boxes2d().with_class_names(names)}
            store.write_labels(version, pictured, cuboids, class_names=names, provenance={})
            hashes.append(content_hash(store))
    assert len(set(hashes)) == 3


def other_drives() -> dict[str, SequenceInfo]:
    info = drive()
    times, poses = info.trajectory.timestamp_ns, info.trajectory.world_from_ego
    moved = poses.copy()
    moved[3, 1] = np.nextafter(moved[3, 1], np.inf)
    turned = np.eye(4)
    turned[:2, :2] = [[0, -1], [1, 0]]
    camera = info.sensors[0].camera
    assert camera is not None
    sharper = dataclasses.replace(camera, fx_px=np.nextafter(camera.fx_px, np.inf))
    front, *others = info.sensors
    return {
        "name": drive(name="other"),
        "pose": drive(trajectory=Trajectory(times, moved)),
        "reach": drive(trajectory=Trajectory(times, poses, 1)),
        "frame times": drive(frame_timestamp_ns=info.frame_timestamp_ns + np.eye(N, dtype=np.int64)[4]),
        "world offset": drive(world_offset_m=np.array([0, 0, 1e-9])),
        "source": drive(source={"format": "made up", "version": 2}),
        "intrinsics": drive(sensors=(dataclasses.replace(front, camera=sharper), *others)),
        "extrinsics": drive(sensors=(dataclasses.replace(front, ego_from_sensor=turned), *others)),
        "compensation": drive(
            sensors=(front, *(dataclasses.replace(s, motion_compensated=False) for s in others))
        ),
        "sensor name": drive(sensors=(dataclasses.replace(front, name="rear"), *others)),
        "one more sensor": drive(sensors=(*info.sensors, Sensor("roof", SensorKind.LIDAR, np.eye(4)))),
    }


def test_the_sequence_itself_counts(tmp_path: Path) -> None:
    hashes = {content_hash(SequenceStore.create(tmp_path / "plain", drive()))}
    drives = other_drives()
    for name, info in drives.items():
        store = SequenceStore.create(tmp_path / name, info)
        hashes.add(content_hash(store))
        assert store.was_made_from(info)
        assert not store.was_made_from(drive()), name
    assert len(hashes) == 1 + len(drives)
    same = drive(source=dict(reversed({"format": "made up", "x": 1}.items())))
    again = drive(source={"format": "made up", "x": 1})
    pair = [SequenceStore.create(tmp_path / str(i), info) for i, info in enumerate((same, again))]
    assert content_hash(pair[0]) == content_hash(pair[1])


@pytest.mark.parametrize("labels", [False, True])
def test_the_input_hash_is_of_the_input_only(store: SequenceStore, labels: bool) -> None:
    fill(store, [0, N])
    before, whole = input_hash(store), content_hash(store)
    if labels:
        store.write_labels("v", {}, Boxes3D.empty(NAMES), class_names=NAMES, provenance={})
    else:
        store.declare_boxes("runs/lift/2/all", NAMES)
    assert input_hash(store) == before
    assert content_hash(store) != whole
    store.sensor_table("left").write(0, pictures())
    assert input_hash(store) != before
