"""Pictures and sweeps by frame, and the store read without this package."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
import zarr

from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import Quarantined, SampleStatus, SequenceStore
from fleetlabel.store import readers as readers_module
from fleetlabel.store.runs import declare_run
from fleetlabel.store.table import Table
from store.drives import NAMES, boxes2d, boxes3d, pictures, sweeps


@pytest.fixture
def filled(store: SequenceStore) -> SequenceStore:
    for start in range(12):
        broken = [Quarantined(start, f"{start:02d}.jpg is broken")] if start == 6 else []
        store.sensor_table("front").write(start, pictures().take(start, start + 1), quarantined=broken)
    for start, stop in ((0, 5), (5, 12)):
        store.sensor_table("top").write(start, sweeps().take(start, stop))
    return store


def test_every_picture_is_the_file_as_it_came(filled: SequenceStore) -> None:
    camera, whole = filled.camera("front"), pictures()
    assert len(camera) == 12
    assert camera.sensor.name == "front"
    for frame in np.random.default_rng(0).permutation(12):
        assert camera.jpeg(frame) == whole.take(frame, frame + 1).flat["jpeg"].tobytes()
        assert camera.usable(frame) == (whole.samples["status"][frame] == SampleStatus.OK)
        assert camera.time_ns(frame) == whole.samples["timestamp_ns"][frame]
    assert camera.jpeg(4) == b""
    np.testing.assert_array_equal(camera.timestamp_ns, whole.samples["timestamp_ns"])
    np.testing.assert_array_equal(camera.status, whole.samples["status"])
    assert camera.quarantined == (Quarantined(6, "06.jpg is broken"),)


def test_every_sweep_is_its_points(filled: SequenceStore) -> None:
    lidar, whole = filled.lidar("top"), sweeps()
    for frame in range(12):
        expected, sweep = whole.take(frame, frame + 1), lidar.sweep(frame)
        np.testing.assert_array_equal(sweep.points, expected.flat["points"])
        assert sweep.points.dtype == np.float32
        np.testing.assert_array_equal(sweep.point_time_offset_ns, expected.flat["point_time_offset_ns"])
        assert sweep.point_time_offset_ns.dtype == np.int64
        assert sweep.timestamp_ns == expected.samples["timestamp_ns"][0]


@pytest.mark.parametrize("frame", [-1, 12])
def test_frames_that_are_not_there(filled: SequenceStore, frame: int) -> None:
    camera = filled.camera("front")
    for read in (camera.jpeg, camera.usable, camera.time_ns):
        with pytest.raises(StoreNotFoundError, match=rf"frames 0\.\.11, no frame {frame}"):
            read(frame)


def test_sensors_that_are_not_there_or_not_all_there(filled: SequenceStore) -> None:
    with pytest.raises(StoreNotFoundError, match="has no sensor 'rear'"):
        filled.camera("rear")
    with pytest.raises(StoreNotFoundError, match="has no table sensors/left"):
        filled.camera("left")
    filled.sensor_table("left").write(2, pictures().take(2, 12))
    with pytest.raises(StoreNotFoundError, match=r"frames \[\(0, 2\)\] are not committed"):
        filled.camera("left")


def test_opening_reads_nothing_and_few_parts_stay_open(
    filled: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, int]] = []
    real = Table.record
    monkeypatch.setattr(Table, "record", lambda self, *part: opened.append(part) or real(self, *part))
    camera = filled.camera("front")
    assert opened == []
    camera.jpeg(7)
    assert set(opened) == {(7, 8)}
    for frame in range(12):
        camera.jpeg(frame)
    assert len(camera._open) <= readers_module._OPEN_PARTS


def test_one_reader_in_many_threads(filled: SequenceStore) -> None:
    camera, whole, errors = filled.camera("front"), pictures(), []

    def read(seed: int) -> None:
        for frame in np.random.default_rng(seed).integers(0, 12, 60):
            same = camera.jpeg(frame) == whole.take(frame, frame + 1).flat["jpeg"].tobytes()
            errors.extend([] if same else [frame])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_zarr_alone_reads_everything(filled: SequenceStore) -> None:
    """The hierarchy is plain Zarr v3: zarr-python with its own codecs lists it without a warning and opens it all."""
    declare_run(filled, "detect", {"version": 1})
    filled.declare_boxes("runs/detect/1/front", NAMES)
    filled.write_labels("v", {"front": boxes2d()}, boxes3d(), class_names=NAMES, provenance={})
    with filled.writer_lock():
        pass  # leaves nothing behind that Zarr would stumble over
    pipeline = "zarr.core.codec_pipeline.BatchedCodecPipeline"
    with warnings.catch_warnings(), zarr.config.set({"codec_pipeline.path": pipeline}):
        warnings.simplefilter("error")
        root = zarr.open_group(str(filled.root), mode="r")
        members = dict(root.members(max_depth=None))
        arrays = {path: member for path, member in members.items() if isinstance(member, zarr.Array)}
        points = [
            arrays[f"sensors/top/{part}/flat.points"][:]
            for part in ("00000000-00000005", "00000005-00000012")
        ]
        assert all(array[...].shape == array.shape for array in arrays.values())
    np.testing.assert_array_equal(np.concatenate(points), sweeps().flat["points"])
    groups = {path.relative_to(filled.root).as_posix() for path in filled.root.rglob("zarr.json")}
    assert {f"{path}/zarr.json" for path in members} | {"zarr.json"} == groups
    assert root["labels/v"].attrs["fleetlabel"]["class_names"] == list(NAMES)
    xyxy = root["labels/v/boxes2d/front/00000000-00000012/flat.xyxy_px"]
    np.testing.assert_array_equal(xyxy[:], boxes2d().xyxy_px)
