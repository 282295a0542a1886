"""What the sensors of a synthetic drive measure, against the real world's meshes, cuboids and poses.

The oracles share nothing with the ray casting: distances to triangles and projected vertices in NumPy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from fleetlabel.engine.synth import Daylight, SynthConfig, SyntheticDrive, WorldConfig
from fleetlabel.engine.synth.drive import START_NS
from fleetlabel.engine.synth.lidar import MAX_RANGE_M
from fleetlabel.engine.synth.scene import OBJECT_CLASSES, Actors
from fleetlabel.engine.synth.truth import MIN_VISIBLE_PX, RANGE_M
from fleetlabel.engine.synth.world import World
from fleetlabel.geometry import se3
from fleetlabel.model.boxes import Boxes2D

FRAME_NS = 100_000_000
NOISE_M = 0.02
CLOSE = WorldConfig(traffic=1.0, parked=1.0, people=1.0, range_m=70.0)
SMALL = SynthConfig(
    duration_s=0.5, n_cameras=2, size_px=(320, 180), n_beams=24, n_columns=360, range_noise_m=NOISE_M, world=CLOSE
)  # fmt: skip


@lru_cache(maxsize=4)
def drive_of(seed: int, **settings: object) -> SyntheticDrive:
    return SyntheticDrive(SMALL.model_copy(update={"seed": seed, **settings}))


def world_of(drive: SyntheticDrive) -> World:
    """A world of its own, asked in another order than the drive's."""
    ends_s = FRAME_NS * (drive.config.n_frames + 2) / 1e9 + 1.0
    return World(drive.config.world.model_copy(update={"seed": drive.config.seed, "duration_s": ends_s}))


def distance_to_mesh(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distances (P,) of points (P, 3) from the nearest of triangles (T, 3, 3): foot inside, or else an edge."""
    origin, one, other = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = points[:, None] - origin
    a, b, c = (np.einsum("ti,ti->t", *pair) for pair in ((one, one), (one, other), (other, other)))
    d, e = (np.einsum("pti,ti->pt", away, edge) for edge in (one, other))
    area = np.maximum(a * c - b * b, 1e-18)
    u, v = (c * d - b * e) / area, (a * e - b * d) / area
    normal = np.cross(one, other)
    height = np.abs(np.einsum("pti,ti->pt", away, normal)) / np.linalg.norm(normal, axis=1)
    nearest = np.where((u >= 0) & (v >= 0) & (u + v <= 1), height, np.inf)
    for start, stop in ((0, 1), (1, 2), (2, 0)):
        begin, edge = corners[:, start], corners[:, stop] - corners[:, start]
        from_begin = points[:, None] - begin
        share = np.einsum("pti,ti->pt", from_begin, edge) / np.einsum("ti,ti->t", edge, edge)
        foot = np.clip(share, 0.0, 1.0)[..., None] * edge
        nearest = np.minimum(nearest, np.linalg.norm(from_begin - foot, axis=-1))
    return nearest.min(axis=1)


def test_the_oracle_of_distances_is_right() -> None:
    corners = np.array([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]])
    points = np.array([[0.5, 0.5, 3.0], [-1, 0.5, 0], [2, 2, 0], [3, 0, 0], [0.2, 0.2, 0.0]])
    assert np.allclose(distance_to_mesh(points, corners), [3, 1, np.sqrt(2), 1, 0])


def check_returns(seed: int, noise_m: float, frame: int = 2) -> int:
    """Every return of an object lies on its mesh and in its cuboid, both at the return's own time."""
    drive = drive_of(seed, range_noise_m=noise_m)
    world, turn = world_of(drive), drive.turn("lidar", frame)
    ego_from_lidar = drive.info.sensor("lidar").ego_from_sensor
    sweep_ns = int(drive.info.frame_timestamp_ns[frame]) - START_NS
    when = sweep_ns + turn.offset_ns.astype(np.int64)
    here = turn.points[:, :3].astype(np.float64)
    level = np.linalg.norm(here, axis=1)
    assert level.max() < MAX_RANGE_M + 6 * NOISE_M
    assert np.abs(turn.offset_ns).max() <= FRAME_NS // 2
    assert turn.points[:, 3].min() >= 0.0
    assert turn.points[:, 3].max() <= 1.0
    there = np.einsum("nij,nj->ni", world.world_from_ego(when) @ ego_from_lidar, _homogeneous(here))
    actors = world.actors(sweep_ns)
    rows = {number: row for row, number in enumerate(actors.object_id.tolist())}
    # Range noise moves a return along its ray; float32 leaves a few micrometres.
    slack = 5.0 * noise_m + 1e-4
    checked = 0
    for number in np.unique(turn.object_id[turn.object_id >= 0]).tolist():
        of = np.flatnonzero(turn.object_id == number)
        own_from_world = np.linalg.inv(world.poses(number, when[of]))
        own = np.einsum("nij,nj->ni", own_from_world, there[of])[:, :3]
        if number not in rows:
            continue  # came into range, or left it, within the turn
        half = 0.5 * actors.size_lwh_m[rows[number]]
        assert np.all(np.abs(own) <= half + (0.01 if noise_m == 0.0 else slack)), number
        assert _off_mesh(world, number, sweep_ns, own, when[of]).max() <= slack, number
        checked += len(of)
    floor = there[(turn.object_id < 0) & (there[:, 2] < 1.0)]
    assert floor[:, 2].min() > -0.04 - slack, "nothing is below the ground"
    return checked


def _off_mesh(world: World, number: int, sweep_ns: int, own: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Distances (P,) from the mesh; a walker's step may be any that falls into the turn."""
    meshes = {}
    for time_ns in (sweep_ns, *np.linspace(when.min() - 2e7, when.max() + 2e7, 7).astype(np.int64).tolist()):
        actors = world.actors(max(int(time_ns), 0))
        found = np.flatnonzero(actors.object_id == number)
        if found.size:
            mesh = actors.mesh[int(found[0])]
            meshes[mesh.key] = mesh
    off = [
        distance_to_mesh(own, mesh.vertices_m[mesh.triangles].astype(np.float64)) for mesh in meshes.values()
    ]
    return np.min(off, axis=0)


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


@pytest.mark.parametrize("noise_m", [0.0, NOISE_M])
def test_every_return_lies_on_its_object(noise_m: float) -> None:
    assert check_returns(0, noise_m) > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_return_lies_on_its_object_over_seeds(seed: int) -> None:
    assert check_returns(seed, 0.0, 4) > 50


def test_ranges_are_as_noisy_as_they_are_said_to_be() -> None:
    """The same rays with and without noise: the differences are along the rays, of the given deviation."""
    clear, noisy = drive_of(0, range_noise_m=0.0).turn("lidar", 1), drive_of(0).turn("lidar", 1)
    assert np.array_equal(clear.object_id, noisy.object_id)
    distance = np.linalg.norm(clear.points[:, :3], axis=1)
    rays = clear.points[:, :3] / distance[:, None]
    moved = (noisy.points - clear.points)[:, :3]
    along = (moved * rays).sum(axis=1)
    assert np.abs(moved - along[:, None] * rays).max() < 1e-4
    assert abs(along.std() / NOISE_M - 1.0) < 0.1
    assert abs(along.mean()) < 5.0 * NOISE_M / np.sqrt(len(along))


def test_points_of_a_cuboid_are_the_returns_that_came_from_it() -> None:
    """Recounted from the points alone: those inside a cuboid that stands still, at their own times."""
    drive = drive_of(0, range_noise_m=0.0)
    world, frame = world_of(drive), 2
    truth, turn = drive.truth3d(frame), drive.turn("lidar", frame)
    sweep_ns = int(drive.info.frame_timestamp_ns[frame]) - START_NS
    poses = world.world_from_ego(sweep_ns + turn.offset_ns.astype(np.int64))
    poses = poses @ drive.info.sensor("lidar").ego_from_sensor
    there = np.einsum("nij,nj->ni", poses, _homogeneous(turn.points[:, :3].astype(np.float64)))[:, :3]
    counted = 0
    for row in np.flatnonzero(np.linalg.norm(truth.velocity_mps, axis=1) == 0.0).tolist():
        number = int(truth.track_id[row])
        own = se3.apply(np.linalg.inv(world.poses(number, np.array([sweep_ns]))[0]), there)
        inside = np.abs(own) <= 0.5 * truth.size_lwh_m[row] + 1e-3
        # The road touches the wheels: its returns are not the object's.
        recount = int((inside.all(axis=1) & (own[:, 2] > -0.5 * truth.size_lwh_m[row, 2] + 1e-3)).sum())
        assert truth.n_points[row] >= recount, number
        assert truth.n_points[row] - recount <= 0.05 * truth.n_points[row] + 1, number
        counted += recount
    assert counted > 100
    ego_m = world.world_from_ego(np.array([sweep_ns]))[0, :2, 3]
    away = np.linalg.norm(truth.center_m[:, :2] - ego_m, axis=1)
    assert away.max() <= RANGE_M
    assert set(truth.track_id.tolist()) == {
        number for number, place in zip(*_places(world.actors(sweep_ns)), strict=True)
        if np.linalg.norm(place - ego_m) <= RANGE_M
    }  # fmt: skip


def _places(actors: Actors) -> tuple[list[int], np.ndarray]:
    return actors.object_id.tolist(), actors.center_m[:, :2]


def project_vertices(drive: SyntheticDrive, world: World, camera: str, frame: int) -> dict[int, np.ndarray]:
    """Pixels (V, 2) of each object's vertices, of those that the lens can image as a whole."""
    sensor = drive.info.sensor(camera)
    assert sensor.camera is not None
    stamp = drive.truth2d(camera, frame).timestamp_ns
    time_ns = int(stamp[0]) - START_NS if len(stamp) else 0
    camera_from_world = np.linalg.inv(world.world_from_ego(np.array([time_ns]))[0] @ sensor.ego_from_sensor)
    actors = world.actors(time_ns)
    pixels = {}
    for row, number in enumerate(actors.object_id.tolist()):
        pose = world.poses(number, np.array([time_ns]))[0]
        vertices = se3.apply(pose, actors.mesh[row].vertices_m.astype(np.float64))
        uv, valid = sensor.camera.project(se3.apply(camera_from_world, vertices))
        if valid.all():
            pixels[number] = uv
    return pixels


def check_boxes(boxes: Boxes2D) -> None:
    """What holds for any boxes of a picture."""
    width, height = SMALL.size_px
    visible, amodal = boxes.xyxy_px, boxes.amodal_xyxy_px
    for corners in (visible, amodal):
        assert np.all(corners[:, :2] >= 0.0)
        assert np.all(corners[:, 2:] <= (width, height))
        assert np.all(corners[:, 2:] > corners[:, :2])
    assert np.all(visible[:, :2] >= amodal[:, :2])
    assert np.all(visible[:, 2:] <= amodal[:, 2:])
    assert np.all((boxes.visible_fraction > 0.0) & (boxes.visible_fraction <= 1.0))
    assert np.all((boxes.truncation >= -1e-6) & (boxes.truncation <= 1.0))
    whole = boxes.visible_fraction == 1.0
    assert np.array_equal(visible[whole], amodal[whole])
    assert np.all(boxes.occlusion[whole] == 0)
    grade = np.select([boxes.visible_fraction >= limit for limit in (0.8, 0.5, 0.2)], [0, 1, 2], 3)
    assert np.array_equal(boxes.occlusion, grade)
    area = np.prod(visible[:, 2:] - visible[:, :2], axis=1)
    assert np.all(area >= MIN_VISIBLE_PX)
    assert np.unique(boxes.track_id).size == len(boxes)


def check_pictures(seed: int, frames: tuple[int, ...] = (1,)) -> tuple[int, int]:
    """Boxes against projected vertices; how many were whole, how many hidden in part."""
    drive = drive_of(seed)
    world = world_of(drive)
    compared = hidden = 0
    for camera, frame in [(camera, frame) for camera in ("front", "back") for frame in frames]:
        boxes = drive.truth2d(camera, frame)
        check_boxes(boxes)
        pixels = project_vertices(drive, world, camera, frame)
        size = np.array(SMALL.size_px)
        for row, number in enumerate(boxes.track_id.tolist()):
            if number not in pixels:
                continue
            low, high = pixels[number].min(axis=0), pixels[number].max(axis=0)
            inside = np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)])
            assert np.all(boxes.amodal_xyxy_px[row, :2] >= inside[:2] - 1.0), number
            assert np.all(boxes.amodal_xyxy_px[row, 2:] <= inside[2:] + 1.0), number
            shown = np.prod(inside[2:] - inside[:2]) / np.prod(high - low)
            assert boxes.truncation[row] == pytest.approx(1.0 - shown, abs=1e-5)
            if boxes.visible_fraction[row] < 1.0:
                hidden += 1
            elif boxes.truncation[row] < 1e-9:
                # What is thinner than a pixel may be missed: the tip of a tyre far away.
                far = inside[3] - inside[1] < 20.0
                assert np.abs(boxes.xyxy_px[row] - inside).max() < (2.5 if far else 1.5), number
                compared += 1
    return compared, hidden


def test_boxes_are_those_of_projected_meshes() -> None:
    compared, hidden = np.sum([check_pictures(seed) for seed in (0, 1)], axis=0)
    assert compared >= 3
    assert hidden >= 3


@pytest.mark.slow
def test_boxes_are_those_of_projected_meshes_over_seeds() -> None:
    compared, hidden = np.sum([check_pictures(seed, (0, 4)) for seed in range(2, 9)], axis=0)
    assert compared >= 20
    assert hidden >= 20


def test_what_is_whole_has_nothing_in_front_of_it() -> None:
    """Hidden is who has something nearer in the same pixels: by centres and boxes, without any rays."""
    drive = drive_of(0)
    world = world_of(drive)
    for camera in ("front", "back"):
        boxes = drive.truth2d(camera, 1)
        time_ns = int(boxes.timestamp_ns[0]) - START_NS
        eye = (world.world_from_ego(np.array([time_ns]))[0] @ drive.info.sensor(camera).ego_from_sensor)[
            :3, 3
        ]
        actors = world.actors(time_ns)
        row_of = {number: row for row, number in enumerate(actors.object_id.tolist())}
        rows = [row_of[number] for number in boxes.track_id.tolist()]
        near = np.linalg.norm(actors.center_m[rows] - eye, axis=1)
        reach = 0.5 * np.linalg.norm(actors.size_lwh_m[rows], axis=1)
        for row in np.flatnonzero(boxes.visible_fraction == 1.0).tolist():
            x1, y1, x2, y2 = boxes.xyxy_px[row]
            others = boxes.xyxy_px
            # A whole object's pixels are its own: where another's box lies within its box, the other is in front.
            within = (others[:, 0] > x1) & (others[:, 1] > y1) & (others[:, 2] < x2) & (others[:, 3] < y2)
            behind = near - reach > near[row] + reach[row]
            solid = boxes.class_id[row] <= 1
            assert not (solid and (within & behind & (boxes.visible_fraction == 1.0)).any())


def test_all_classes_are_pictured_and_hit() -> None:
    pictured, hit = set(), set()
    for seed in (0, 1):
        drive = drive_of(seed)
        pictured |= {int(k) for camera in ("front", "back") for k in drive.truth2d(camera, 1).class_id}
        truth = drive.truth3d(2)
        hit |= set(truth.class_id[truth.n_points > 0].tolist())
    assert pictured | hit == set(range(len(OBJECT_CLASSES)))


def test_a_picture_shows_the_objects_where_the_truth_says() -> None:
    """A world with and one without objects: pictures differ in the boxes, and hardly but for shadows elsewhere."""
    overcast = SMALL.world.model_copy(update={"light": Daylight.OVERCAST})
    empty = overcast.model_copy(update={"traffic": 0.0, "parked": 0.0, "people": 0.0})
    full, bare = drive_of(0, world=overcast), drive_of(0, world=empty)
    boxes = full.truth2d("front", 1)
    differ = (
        np.abs(full.picture("front", 1).astype(int) - bare.picture("front", 1).astype(int)).max(axis=-1) > 24
    )
    covered = np.zeros(differ.shape, dtype=bool)
    for x1, y1, x2, y2 in boxes.amodal_xyxy_px.astype(int):
        covered[y1:y2, x1:x2] = True
        assert differ[y1:y2, x1:x2].mean() > 0.1
    assert differ[covered].mean() > 10 * differ[~covered].mean()
