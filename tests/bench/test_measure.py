"""What a measurement says is what the pipeline did: its pictures, its boxes, its bytes, and nothing of it stays."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from fleetlabel.engine.bench import Bench, load_bench, measure
from fleetlabel.engine.bench.result import OTHER, STEPS
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.steps import recording, step
from fleetlabel.model.errors import UsageError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore, describe, input_hash
from fleetlabel.store.linked import linked_store


@pytest.fixture(scope="session")
def labelled(log: Path, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> SequenceStore:
    """The same drive, labelled by a run."""
    out = tmp_path_factory.mktemp("run") / "drive.zarr"
    pipeline.run(log, config.model_copy(update={"out": out}))
    return SequenceStore.open(out)


def test_the_work_is_that_of_a_run(measured: Bench, labelled: SequenceStore) -> None:
    info = labelled.info
    cameras = [camera.name for camera in info.of_kind(SensorKind.CAMERA)]
    jpegs = [labelled.camera(name).jpeg(frame) for name in cameras for frame in range(info.n_frames)]
    points = sum(
        len(labelled.lidar(lidar.name).sweep(frame).points)
        for lidar in info.of_kind(SensorKind.LIDAR)
        for frame in range(info.n_frames)
    )
    sizes = measured.sizes
    assert (sizes.frames, sizes.cameras, sizes.pictures) == (info.n_frames, len(cameras), len(jpegs))
    assert (sizes.picture_bytes, sizes.points) == (sum(map(len, jpegs)), points)
    assert measured.work["input"] == input_hash(labelled)
    version = labelled.latest_labels()
    boxes = len(labelled.labels3d(version.name)) + sum(
        len(labelled.labels2d(version.name, camera)) for camera in version.cameras
    )
    assert [repeat.boxes for repeat in measured.repeats] == [boxes, boxes]


def test_steps_add_up(measured: Bench) -> None:
    by_name = {line.step: line for line in measured.steps}
    assert list(by_name) == [*STEPS, OTHER]
    pictures, frames = measured.sizes.pictures, measured.sizes.frames
    assert {by_name[name].frames for name in ("decode", "preprocess", "inference", "nms")} == {pictures}
    assert by_name["lift"].frames == by_name["link"].frames == frames
    assert by_name["associate"].frames == by_name["smooth"].frames == pictures + frames
    assert sum(line.share for line in measured.steps) == pytest.approx(1.0, abs=0.2)  # medians of two repeats
    for line in measured.steps:
        if line.step != OTHER:
            assert line.ms_p50 is not None
            assert line.ms_p99 is not None
            assert 0.0 < line.ms_p50 <= line.ms_p99
    assert by_name["decode"].n_bytes > measured.sizes.picture_bytes / 10
    assert measured.ingest is not None
    assert measured.output_bytes > 0


def test_the_limit_is_what_is_needed_on_all_workers(measured: Bench) -> None:
    assert set(measured.limit_core_ms) == {"decode", "inference", "write"}
    assert all(ms > 0.0 for ms in measured.limit_core_ms.values())
    for repeat in measured.repeats:
        assert repeat.limit_s < sum(measured.limit_core_ms.values()) / 1e3 * measured.sizes.pictures
        assert 0.0 < repeat.efficiency < 1.0
    assert min(r.efficiency for r in measured.repeats) <= measured.efficiency
    assert measured.efficiency <= max(r.efficiency for r in measured.repeats)


def test_costs_are_a_price_times_the_time(measured: Bench) -> None:
    costs = measured.costs
    assert costs is not None
    assert costs["1000_frames"] == pytest.approx(0.001 * measured.wall_s * 1000 / measured.sizes.frames)
    assert costs["1000_boxes"] == pytest.approx(0.001 * measured.wall_s * 1000 / measured.repeats[0].boxes)
    assert replace(measured, price_per_hour=None).costs is None


def test_it_can_be_kept(measured: Bench, tmp_path: Path) -> None:
    measured.write(tmp_path / "a.json")
    assert load_bench(tmp_path / "a.json") == measured
    for content, message in (
        (b"{}", "is not what"),
        (b"no", "is not what"),
        (b'{"format": 99}', "measure again"),
    ):
        (tmp_path / "b.json").write_bytes(content)
        with pytest.raises(UsageError, match=message):
            load_bench(tmp_path / "b.json")
    with pytest.raises(UsageError, match="No such file"):
        load_bench(tmp_path / "c.json")


def test_a_store_stays_as_it_is_and_cameras_can_go_alone(
    labelled: SequenceStore, config: RunConfig, tmp_path: Path
) -> None:
    before = describe(labelled)
    found = measure(labelled.root, config, repeats=1, warm_up=0, cameras_only=True, work_folder=tmp_path)
    assert describe(SequenceStore.open(labelled.root)) == before
    assert found.ingest is None
    assert (found.sizes.lidars, found.sizes.points) == (0, 0)
    assert "lift" not in {line.step for line in found.steps if line.core_s > 0}
    assert set(found.work["sensors"]) == {s.name for s in labelled.info.of_kind(SensorKind.CAMERA)}


def test_what_makes_no_sense_is_refused(log: Path, config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --model"):
        measure(log, RunConfig())
    with pytest.raises(UsageError, match="at least 1 repeat"):
        measure(log, config, repeats=0)


def test_linked_stores_hold_the_same_and_write_only_into_themselves(
    labelled: SequenceStore, tmp_path: Path
) -> None:
    names = [sensor.name for sensor in labelled.info.sensors]
    linked = linked_store(labelled, tmp_path / "linked.zarr", names)
    assert input_hash(linked) == input_hash(labelled)
    assert linked.label_versions() == ()
    SequenceStore.remove(linked.root)
    assert labelled.camera(labelled.info.of_kind(SensorKind.CAMERA)[0].name).jpeg(0)


def test_steps_are_free_of_each_other_and_of_who_does_not_look() -> None:
    with step("unseen"):
        pass
    with recording() as times:
        with step("seen", 3) as seen:
            seen.n_bytes = 5
            time.sleep(0.002)
        with pytest.raises(RuntimeError, match="one measurement at a time"), recording():
            pass
    with step("late"):
        pass
    (only,) = times
    assert (only.name, only.frames, only.n_bytes) == ("seen", 3, 5)
    assert only.wall_s >= 0.002 > only.core_s
