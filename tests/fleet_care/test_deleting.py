"""What is deleted on purpose is gone to the last byte, the rest is as it was, and nothing brings it back quietly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.fleets import Fleet
from fleet_care.conftest import Cli
from fleet_care.killing import Killed, killed_at
from fleetlabel.engine.fleet.deleting import delete_drive, delete_frames, delete_sensor, readmit
from fleetlabel.engine.fleet.run import FleetOutcome, run_fleet
from fleetlabel.engine.fleet.status import look
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.labels import Labels, save_version
from fleetlabel.labels.edits import SetFlags, SetKeyframe2D, SetKeyframe3D
from fleetlabel.model.errors import StoreDeletedError, StoreError, UsageError
from fleetlabel.store import SequenceStore, describe, verify
from fleetlabel.store.groups import read_group
from fleetlabel.store.runs import find_runs

BY = {"who": "ann", "why": "a person asked for it"}
CAMERA, LIDAR = "image_02", "velodyne"


@pytest.fixture
def store(fleet: Path) -> SequenceStore:
    return SequenceStore.open(fleet / "kitti-0001.zarr")


def again(fleet: Path, drives: Fleet, existing: str = "resume") -> FleetOutcome:
    """The run that made the fleet, once more."""
    settings = {"out": fleet, "detections2d": drives[1], "workers": 1, "fleet.threads": True}
    return run_fleet([drives[0]], load_config(None, settings | {"existing": existing}))


def times(store: SequenceStore, first: int, stop: int) -> tuple[int, int]:
    """Of the frames ``first:stop``."""
    return int(store.info.frame_timestamp_ns[first]), int(store.info.frame_timestamp_ns[stop])


def holds(root: Path, content: bytes) -> bool:
    return any(content in file.read_bytes() for file in root.rglob("*") if file.is_file())


def contents(store: SequenceStore) -> dict[str, Any]:
    """All data and labels, frame by frame."""
    frames = range(store.info.n_frames)
    found: dict[str, Any] = {}
    for sensor in (sensor.name for sensor in store.info.sensors):
        reader = store.camera(sensor) if sensor == CAMERA else store.lidar(sensor)
        read = reader.jpeg if sensor == CAMERA else lambda frame: reader.sweep(frame).points.tobytes()  # noqa: B023
        found |= {f"{sensor} {frame}": read(frame) for frame in frames}
    for name in store.label_versions():
        boxes = {"cuboids": store.labels3d(name)}
        boxes |= {camera: store.labels2d(name, camera) for camera in store.labels(name).cameras}
        for where, rows in boxes.items():
            found |= {f"{name} {where} {f}": _flat(rows.take(rows.frame == f).columns()) for f in frames}
    return found


def _flat(columns: Mapping[str, Any]) -> bytes:
    return b"".join(np.ascontiguousarray(columns[name]).tobytes() for name in sorted(columns))


def edited(store: SequenceStore) -> Labels:
    """People's edits in frames 2 and 4 of an object, in pictures and as cuboids, saved as a version."""
    labels = Labels.open(store)
    object_id = int(labels.base.index("").track_id[0])
    for frame in (2, 4):
        box = (10.5, 20.5, 30.5 + frame, 40.5)
        labels.commit(
            [SetKeyframe3D(object_id=object_id, frame=frame, center_m=(5.0, 1.0, 0.25 * frame), yaw_rad=0.0)],
            author="bob",
        )
        labels.commit(
            [SetKeyframe2D(object_id=object_id, frame=frame, camera=CAMERA, xyxy_px=box)], author="bob"
        )
        labels.commit([SetFlags(object_id=object_id, start=frame, stop=frame + 1, occlusion=2)], author="bob")
    save_version(labels, "checked")
    return labels


# --- frames ---------------------------------------------------------------------------------------------------------


def test_frames_go_and_all_others_stay_as_they_are(store: SequenceStore) -> None:
    edited(store)
    before, poses = contents(store), store.info.trajectory.world_from_ego.copy()
    was = describe(store)
    jpeg, points = store.camera(CAMERA).jpeg(2), store.lidar(LIDAR).sweep(3).points
    assert holds(store.root, jpeg)
    done = delete_frames(store.root, *times(store, 2, 4), **BY)
    assert done is not None
    assert done.n_bytes > len(jpeg)

    store = SequenceStore.open(store.root)
    after = contents(store)
    assert after.keys() == before.keys()
    for key, content in after.items():
        kept = key.rpartition(" ")[2] not in ("2", "3")
        assert content == (before[key] if kept else b""), key
    assert any(before[key] for key in before if key.endswith("cuboids 2"))
    assert not holds(store.root, jpeg)
    assert not store.camera(CAMERA).usable(2)
    moved = np.flatnonzero((store.info.trajectory.world_from_ego != poses).any(axis=1))
    assert set(moved) <= {2, 3}
    assert len(moved)
    for stage in ("detect", "lift", "track2d", "track3d", "smooth2d", "smooth3d"):
        for run in find_runs(store, stage):
            table = store.table(run.table_path("all" if stage in ("lift", "track3d", "smooth3d") else CAMERA))
            assert table.read().counts[2:4].tolist() == [0, 0]
            assert all(record.state_sha256 is None for record in table.records())
    assert points.shape[0]
    assert verify(store) == []
    assert list(store.root.rglob(".pending-*")) == []

    (stone,) = store.tombstones()
    assert (stone.who, stone.why, stone.frames, stone.sha256) == ("ann", BY["why"], (2, 4), was.content_hash)
    assert stone.finished
    assert stone.tables[f"sensors/{CAMERA}"] in {table.content_hash for table in was.tables}
    assert describe(store).tombstones == (stone.to_dict(),)
    assert delete_frames(store.root, *times(store, 2, 4), **BY).repeated  # type: ignore[union-attr]
    assert delete_frames(store.root, 10**18, 10**18 + 1, **BY) is None

    # People's words about these frames are gone, those about others are not; who worked when still is told.
    labels = Labels.open(store)
    item = next(iter(labels.now.state))
    assert set(item.poses) == {4}
    assert set(item.boxes) == {(CAMERA, 4)}
    assert [span[:2] for spans in item.flags.values() for span in spans] == [(4, 5)]
    assert [record.author for record in labels.history.records] == ["bob"] * 6 + ["ann"]
    assert b"[10.5,20.5,32.5,40.5]" not in (store.root / "journal" / "edits.log").read_bytes()
    labels.commit(
        [SetKeyframe2D(object_id=item.object_id, frame=5, camera=CAMERA, xyxy_px=(1, 1, 9, 9))], author="bob"
    )


@pytest.mark.slow
def test_a_run_goes_on_without_deleted_frames_and_makes_its_labels_of_what_is_left(
    fleet: Path, store: SequenceStore, drives: Fleet
) -> None:
    delete_frames(store.root, *times(store, 2, 4), **BY)
    after = contents(SequenceStore.open(store.root))
    outcome = again(fleet, drives)
    assert (outcome.done, outcome.failures) == (2, ())
    rerun = contents(SequenceStore.open(store.root))
    assert rerun.keys() > after.keys(), "what boxes were imported for is not what it was"
    assert all(rerun[key] == after[key] for key in after)
    assert not any(rerun[key] for key in rerun if key.endswith((" 2", " 3")) and "cuboids" not in key)
    assert verify(SequenceStore.open(store.root)) == []
    with pytest.raises(StoreError, match="would bring it back"):
        SequenceStore.remove(store.root)


@pytest.mark.slow
def test_edits_of_other_frames_are_left_alone(store: SequenceStore) -> None:
    edited(store)
    journal = (store.root / "journal" / "edits.log").read_bytes()
    delete_frames(store.root, *times(store, 3, 4), **BY)
    assert (store.root / "journal" / "edits.log").read_bytes() == journal


@pytest.mark.slow
@pytest.mark.parametrize("steps", [(1, 8, 33, 89, 233)])
def test_killed_at_any_step_no_other_frame_is_lost_and_the_next_call_ends_it(
    store: SequenceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...]
) -> None:
    edited(store)
    span = times(store, 2, 4)
    whole = Path(shutil.copytree(store.root, tmp_path / "whole"))
    delete_frames(whole, *span, **BY)
    expected = contents(SequenceStore.open(whole))
    for step in steps:
        root = Path(shutil.copytree(store.root, tmp_path / str(step)))
        with killed_at(step, monkeypatch), pytest.raises(Killed):
            delete_frames(root, *span, **BY)
        unfinished = [line for line in verify(SequenceStore.open(root)) if "not finished" in line]
        assert len(unfinished) == len(SequenceStore.open(root).tombstones())
        delete_frames(root, *span, **BY)
        assert contents(SequenceStore.open(root)) == expected
        assert verify(SequenceStore.open(root)) == []
        assert list(root.rglob(".pending-*")) == []
        shutil.rmtree(root)


# --- sensors --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_camera_goes_with_its_calibration_and_all_boxes_in_its_pictures(
    fleet: Path, store: SequenceStore, drives: Fleet
) -> None:
    edited(store)
    before, jpeg = contents(store), store.camera(CAMERA).jpeg(0)
    delete_sensor(store.root, CAMERA, **BY)
    store = SequenceStore.open(store.root)
    assert [sensor.name for sensor in store.info.sensors] == [LIDAR]
    after = contents(store)
    assert after == {key: content for key, content in before.items() if f"{CAMERA} " not in key}
    assert not holds(store.root, jpeg)
    assert list(store.root.rglob(CAMERA)) == []
    assert CAMERA not in "".join(file.read_text() for file in (store.root / "calibration").rglob("zarr.json"))
    assert verify(store) == []
    item = next(iter(Labels.open(store).now.state))
    assert not item.boxes
    assert set(item.poses) == {2, 4}
    again(fleet, drives)  # its boxes are those of the camera's pictures, so there are no new labels
    assert [sensor.name for sensor in SequenceStore.open(store.root).info.sensors] == [LIDAR]
    assert not holds(store.root, jpeg)
    assert delete_sensor(store.root, CAMERA, **BY).repeated
    with pytest.raises(UsageError, match="only sensor"):
        delete_sensor(store.root, LIDAR, **BY)


@pytest.mark.slow
def test_a_lidar_goes_with_the_cuboids_that_were_made_of_its_points(store: SequenceStore) -> None:
    edited(store)
    before = contents(store)
    delete_sensor(store.root, LIDAR, **BY)
    store = SequenceStore.open(store.root)
    after = contents(store)
    for key, content in after.items():
        made = "cuboids" in key and not key.startswith("ground_truth")
        assert content == (b"" if made else before[key]), key
    assert not any(key.startswith(LIDAR) for key in after)
    assert verify(store) == []
    assert next(iter(Labels.open(store).now.state)).poses == {}


# --- drives ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_drive_leaves_a_tombstone_that_runs_respect_until_somebody_readmits_it(
    fleet: Path, store: SequenceStore, drives: Fleet
) -> None:
    was = describe(store).content_hash
    delete_drive(store.root, **BY)
    assert [path.name for path in store.root.rglob("*")] == ["zarr.json"]
    assert not (fleet / "kitti-0001.ledger.json").exists()
    with pytest.raises(
        StoreDeletedError, match="drive .* was deleted by ann on .*a person asked for it.*--readmit"
    ):
        SequenceStore.open(store.root)
    for existing in ("resume", "overwrite"):
        outcome = again(fleet, drives, existing)
        assert (outcome.done, outcome.failures, len(outcome.deleted)) == (1, (), 1)
        assert "was deleted by ann" in outcome.deleted[0]
        with pytest.raises(StoreDeletedError):
            SequenceStore.remove(store.root)
    assert look(fleet).deleted == 1
    assert [path.name for path in store.root.rglob("*")] == ["zarr.json"]
    assert delete_drive(store.root, **BY).repeated
    (stone,) = readmit(store.root)
    assert stone.sha256 == was
    assert again(fleet, drives).done == 2
    assert describe(SequenceStore.open(store.root)).content_hash == was


@pytest.mark.slow
def test_a_drive_that_is_damaged_can_be_deleted_too_and_a_killed_deletion_is_ended(
    store: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.root / "ego" / "zarr.json").write_bytes(b"{")
    with killed_at(9, monkeypatch), pytest.raises(Killed):
        delete_drive(store.root, **BY)
    assert len(list(store.root.rglob("*"))) > 1
    with pytest.raises(StoreDeletedError):
        SequenceStore.open(store.root)
    assert not delete_drive(store.root, **BY).repeated
    assert [path.name for path in store.root.rglob("*")] == ["zarr.json"]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_asks_and_tells(fleetlabel: Cli, fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    why = ("--why", "gdpr")
    assert "whole fleet" in fleetlabel("delete", fleet, *why)[2]
    assert "no drive 'nobody'" in fleetlabel("delete", fleet, "--drive", "nobody", *why)[2]
    assert fleetlabel("delete", fleet, "--from", "yesterday", *why)[0] == 2
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    code, _, errors = fleetlabel("delete", fleet, "--drive", "kitti-0001", *why)
    assert (code, "nothing was changed" in errors) == (2, True)
    code, printed, _ = fleetlabel(
        "delete", fleet, "--drive", "kitti-0001", *why, "--yes", "--json", "--who", "eve"
    )
    (told,) = json.loads(printed)["deleted"]
    assert (code, told["what"], told["tombstone"]["who"]) == (0, "drive 0001", "eve")
    assert read_group(fleet / "kitti-0001.zarr")["tombstone"]["why"] == "gdpr"  # type: ignore[index]
    for command in ("info", "history"):
        code, _, errors = fleetlabel(command, fleet / "kitti-0001.zarr")
        assert (code, "deleted by eve" in errors) == (1, True)
    code, printed, _ = fleetlabel("verify", fleet, "--workers", 1)
    assert (code, "2 stores" in printed, "1 deleted on purpose" in printed) == (0, True, True)
    code, printed, _ = fleetlabel("delete", fleet / "kitti-0001.zarr", "--readmit", *why, "--yes")
    assert (code, "may be ingested again" in printed) == (0, True)
    store = SequenceStore.open(fleet / "kitti-0000.zarr")
    stop = int(store.info.frame_timestamp_ns[2])
    code, printed, _ = fleetlabel("delete", store.root, "--to", stop, *why, "--yes")
    assert (code, "frames 0..1" in printed) == (0, True)
    code, printed, _ = fleetlabel("info", store.root)
    assert "deleted: frames 0..1 of 0000 was deleted by" in printed
