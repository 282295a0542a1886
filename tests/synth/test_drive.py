"""A drive's data and truth against the world that they were made of."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.source import write_ground_truth
from fleetlabel.engine.synth import SynthConfig, SyntheticDrive, parse_fault, stream_drive, write_drive
from fleetlabel.engine.synth.drive import START_NS
from fleetlabel.geometry import se3
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SampleStatus, SequenceStore, describe
from synth.small_scene import SmallScene

SMALL = {"duration_s": 0.5, "n_cameras": 2, "size_px": (240, 135), "n_beams": 16, "n_columns": 256}


def small_drive(seed=0, **settings):
    return SyntheticDrive(SynthConfig(seed=seed, **(SMALL | settings)), SmallScene(seed))


def test_equal_seeds_give_equal_bytes_in_any_order():
    forward, backward = small_drive(), small_drive()
    for name in ("front", "lidar"):
        whole, _ = forward.read_sensor(name, 0, 4)
        parts = [backward.read_sensor(name, frame, frame + 1)[0] for frame in (3, 1, 0, 2)]
        joined = [parts[2], parts[1], parts[3], parts[0]]
        for column, values in whole.flat.items():
            assert np.array_equal(values, np.concatenate([part.flat[column] for part in joined]))
        for column, values in whole.samples.items():
            assert np.array_equal(values, np.concatenate([part.samples[column] for part in joined]))


def test_other_seeds_give_other_drives():
    one, two = small_drive(1).read_sensor("lidar", 0, 1)[0], small_drive(2).read_sensor("lidar", 0, 1)[0]
    assert not np.array_equal(one.flat["points"], two.flat["points"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_return_lies_on_its_object_and_in_its_cuboid(seed):
    import open3d as o3d

    drive = small_drive(seed, range_noise_m=0.0, n_beams=48, n_columns=512)
    scene = SmallScene(seed)
    time_ns = int(drive.info.frame_timestamp_ns[2])
    turn = drive.turn("lidar", 2)
    assert (turn.object_id >= 0).sum() > 300
    ego_from_lidar = drive.info.sensor("lidar").ego_from_sensor
    sample_ns = int(drive.read_sensor("lidar", 2, 3)[0].samples["timestamp_ns"][0])
    actors = scene.actors(time_ns - START_NS)
    for number in np.unique(turn.object_id[turn.object_id >= 0]):
        of = turn.object_id == number
        when = sample_ns - START_NS + turn.offset_ns[of].astype(np.int64)
        in_lidar = turn.points[of, :3].astype(np.float64)
        world = np.einsum("nij,nj->ni", scene.world_from_ego(when) @ ego_from_lidar, _homogeneous(in_lidar))
        own = np.einsum("nij,nj->ni", np.linalg.inv(scene.poses(number, when)), world)[:, :3]
        row = int(np.flatnonzero(actors.object_id == number)[0])
        assert np.all(np.abs(own) <= actors.size_lwh_m[row] / 2 + 0.01)
        if actors.class_id[row] == 0:  # a walker's mesh changes with the step, a car's does not
            mesh = actors.mesh[row]
            surface = o3d.t.geometry.RaycastingScene()
            surface.add_triangles(
                o3d.core.Tensor(mesh.vertices_m), o3d.core.Tensor(mesh.triangles.astype(np.uint32))
            )
            distance = surface.compute_distance(o3d.core.Tensor(own.astype(np.float32))).numpy()
            assert distance.max() < 0.005


def _homogeneous(points):
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_boxes_of_unhidden_objects_are_those_of_their_projected_meshes(seed):
    drive = small_drive(seed, size_px=(480, 270))
    scene = SmallScene(seed)
    compared = 0
    for camera in ("front", "back"):
        boxes = drive.truth2d(camera, 1)
        sensor = drive.info.sensor(camera)
        time_ns = int(drive.read_sensor(camera, 1, 2)[0].samples["timestamp_ns"][0]) - START_NS
        world_from_camera = scene.world_from_ego(np.array([time_ns]))[0] @ sensor.ego_from_sensor
        actors = scene.actors(time_ns)
        for number, box, visible in zip(boxes.track_id, boxes.xyxy_px, boxes.visible_fraction, strict=True):
            row = int(np.flatnonzero(actors.object_id == number)[0])
            pose = scene.poses(number, np.array([time_ns]))[0]
            vertices = se3.apply(pose, actors.mesh[row].vertices_m.astype(np.float64))
            uv, valid = sensor.camera.project(se3.apply(np.linalg.inv(world_from_camera), vertices))
            if not valid.all() or visible < 1.0 or not sensor.camera.inside(uv).all():
                continue
            expected = np.concatenate([uv.min(axis=0), uv.max(axis=0)])
            assert np.abs(box - expected).max() < 1.5
            compared += 1
    assert compared > 0


def test_truth_of_points_counts_returns():
    drive = small_drive()
    turn = drive.turn("lidar", 0)
    numbers, counts = np.unique(turn.object_id[turn.object_id >= 0], return_counts=True)
    truth = drive.truth3d(0)
    found = dict(zip(truth.track_id.tolist(), truth.n_points.tolist(), strict=True))
    assert {n: c for n, c in found.items() if c > 0} == dict(
        zip(numbers.tolist(), counts.tolist(), strict=True)
    )


def test_truth_and_points_of_a_small_scene_have_not_changed():
    """Points by their moments, since another processor may round the last bit of a few otherwise."""
    drive = small_drive(7, n_cameras=1)
    part, _ = drive.read_sensor("lidar", 0, 2)
    truth = drive.ground_truth()
    digest = hashlib.sha256()
    points = part.flat["points"].astype(np.float64)
    digest.update((points.mean(axis=0).round(3) + 0.0).tobytes() + points.std(axis=0).round(3).tobytes())
    digest.update(truth.boxes3d.center_m.round(3).tobytes())
    digest.update(truth.boxes2d["front"].xyxy_px.round(1).tobytes())
    assert (len(truth.boxes3d), len(truth.boxes2d["front"])) == SMALL_TRUTH
    assert digest.hexdigest() == SMALL_DIGEST


SMALL_TRUTH = (51, 30)
SMALL_DIGEST = "1a6f54cfe4b487f70bfcdcde6cdd28c3c80fcd8e262430d8413c3557d2794213"


def test_faults_do_what_they_say():
    faults = ("dropped-frames:front=50%", "lost-sweeps:lidar=50%", "frozen:back=from:1")
    drive = small_drive(duration_s=2.0, faults=tuple(map(parse_fault, faults)))
    status = {name: drive.read_sensor(name, 0, 20)[0].samples["status"] for name in ("front", "lidar")}
    for values in status.values():
        assert 3 <= (values == SampleStatus.MISSING).sum() <= 17
    frozen, _ = drive.read_sensor("back", 0, 6)
    pictures = np.split(frozen.flat["jpeg"], np.cumsum(frozen.counts)[:-1])
    assert not np.array_equal(pictures[0], pictures[1])
    assert all(np.array_equal(pictures[1], picture) for picture in pictures[2:])
    assert [fault["kind"] for fault in drive.info.source["injected"]] == [
        "dropped-frames", "lost-sweeps", "frozen",
    ]  # fmt: skip


def test_a_pose_jump_moves_what_the_vehicle_believes_by_so_much():
    clean, broken = small_drive(), small_drive(faults=(parse_fault("pose-jump=0.5m"),))
    moved = np.linalg.norm(
        broken.info.trajectory.world_from_ego[:, :3] - clean.info.trajectory.world_from_ego[:, :3], axis=1
    )
    assert np.allclose(np.unique(moved.round(6)), [0.0, 0.5])


@pytest.mark.parametrize(
    "text", ["fog=1", "frozen=3", "camera-offset:front=99s", "pose-jump:front=1m", "lost-sweeps:lidar=0.5"]
)
def test_a_fault_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="--inject"):
        parse_fault(text)


def test_a_fault_of_a_sensor_that_is_not_there_names_those_that_are():
    with pytest.raises(UsageError, match="front"):
        small_drive(faults=(parse_fault("frozen:roof=3"),))


@pytest.mark.slow
def test_folder_and_store_hold_the_same_however_many_make_them(tmp_path):
    config = SynthConfig(**(SMALL | {"n_cameras": 1, "size_px": (128, 72)}))
    write_drive(config, tmp_path / "rig", workers=2)
    stream_drive(config, tmp_path / "two.zarr", workers=2)
    drive = SyntheticDrive(config)
    alone = SequenceStore.create(tmp_path / "one.zarr", drive.info)
    for sensor in drive.info.sensors:
        for start, stop in ((0, 3), (3, 5)):
            alone.sensor_table(sensor.name).write(start, drive.read_sensor(sensor.name, start, stop)[0])
    write_ground_truth(alone, drive)
    assert describe(alone).content_hash == describe(SequenceStore.open(tmp_path / "two.zarr")).content_hash
    rig = open_sequence(tmp_path / "rig")
    for sensor in drive.info.sensors:
        read, made = rig.read_sensor(sensor.name, 0, 5)[0], drive.read_sensor(sensor.name, 0, 5)[0]
        for column, values in made.flat.items():
            assert np.array_equal(values, read.flat[column])
    truth, there = rig.ground_truth(), drive.ground_truth()
    assert np.array_equal(truth.boxes3d.center_m, there.boxes3d.center_m)
    assert np.array_equal(
        truth.boxes2d["front"].amodal_xyxy_px, there.boxes2d["front"].amodal_xyxy_px, equal_nan=True
    )
