"""The synthetic world: nothing touches, everything moves as it can, and it is the same however it is asked."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.engine.synth.crowd import BICYCLE, CAR, PEDESTRIAN, TRUCK
from fleetlabel.engine.synth.road import BLOCK_M
from fleetlabel.engine.synth.scene import OBJECT_CLASSES, Actors, Material
from fleetlabel.engine.synth.shapes_people import cyclists, pedestrians
from fleetlabel.engine.synth.shapes_vehicles import cars, trucks
from fleetlabel.engine.synth.world import World
from fleetlabel.engine.synth.world_config import Daylight, WorldConfig
from fleetlabel.model.errors import UsageError
from synth import oracles

BUSY = {"traffic": 1.0, "parked": 1.0, "people": 1.0}
SECONDS = 20.0
STEP_S = 0.02


def at(seconds: float) -> int:
    return round(seconds * 1e9)


def content(actors: Actors) -> dict[int, tuple[object, ...]]:
    """Everything about each object, by id."""
    columns = (actors.class_id, actors.center_m, actors.q_wxyz, actors.size_lwh_m, actors.velocity_mps)
    columns += (actors.tints_rgb,)
    return {
        number: (actors.mesh[row].key, *(column[row].tobytes() for column in columns))
        for row, number in enumerate(actors.object_id.tolist())
    }


def touching(world: World, timestamp_ns: int, grown_m: float = 0.0) -> list[str]:
    """Pairs that share ground, and objects in what stands beside the road."""
    actors = world.actors(timestamp_ns)
    plans = oracles.actors_plans(actors, grown_m)
    every = np.append(plans, oracles.ego_plan(world, timestamp_ns))
    name = [*map(str, actors.object_id.tolist()), "ego"]
    one, other = shapely.STRtree(every).query(every, predicate="intersects")
    found = [f"{name[a]} and {name[b]}" for a, b in zip(one, other, strict=True) if a < b]
    for block in world.blocks_near(world.world_from_ego(np.array([timestamp_ns]))[0, :3, 3]):
        stands = oracles.standing(world, block)
        row, thing = stands.plans.query(every, predicate="intersects")
        height = np.append(actors.size_lwh_m[:, 2], oracles.EGO_SIZE_M[2])
        found += [f"{name[a]} in block {block}" for a in row[stands.low_m[thing] < height[row]]]
        inside = shapely.intersects(stands.houses, every)
        found += [f"{name[a]} in a house of block {block}" for a in np.flatnonzero(inside)]
    return found


def check_that_nothing_touches(seed: int, step_s: float, **config: float) -> None:
    world = World(WorldConfig(seed=seed, **config))
    for time_s in np.arange(0.0, SECONDS, step_s):
        assert not touching(world, at(time_s)), f"seed {seed} at {time_s:.1f} s"


@pytest.mark.parametrize(("seed", "config"), [(0, {}), (115, {}), (11, BUSY)])
def test_nothing_touches_anything(seed: int, config: dict[str, float]) -> None:
    check_that_nothing_touches(seed, 1.0, **config)


@pytest.mark.slow
@pytest.mark.parametrize("first", [200, 205, 459])
def test_nothing_touches_anything_over_seeds(first: int) -> None:
    for seed in range(first, first + 5):
        check_that_nothing_touches(seed, 1.0, **(BUSY if seed % 2 else {}))


@pytest.mark.slow
def test_nothing_touches_anything_in_a_long_drive() -> None:
    world = World(WorldConfig(seed=4, duration_s=3600.0))
    for time_s in np.arange(0.0, 3600.0, 60.7):
        assert not touching(world, at(time_s)), f"at {time_s:.1f} s"


def test_the_check_for_touching_would_notice() -> None:
    world = oracles.world_of(0)
    assert touching(world, at(5.0), grown_m=1.0), "parked cars a metre larger stand in each other"
    houses = sum(len(oracles.standing(world, block).houses.geoms) for block in (3, 4, 5))
    assert 5 < houses < 40, "walls enclose houses"


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", [cars, trucks, cyclists], ids=lambda pool: pool.__name__)
def test_a_vehicles_mesh_fills_its_cuboid(pool) -> None:
    for model in pool():
        for mesh in model.meshes:
            half = 0.5 * model.size_lwh_m
            assert np.allclose(mesh.vertices_m.min(axis=0), -half, atol=1e-5), mesh.key
            assert np.allclose(mesh.vertices_m.max(axis=0), half, atol=1e-5), mesh.key


def test_a_pedestrians_cuboid_is_the_hull_of_the_steps_and_as_tall_as_each() -> None:
    for model in pedestrians():
        low = np.array([mesh.vertices_m.min(axis=0) for mesh in model.meshes])
        high = np.array([mesh.vertices_m.max(axis=0) for mesh in model.meshes])
        half = 0.5 * model.size_lwh_m
        assert np.all(low >= -half - 1e-6)
        assert np.all(high <= half + 1e-6)
        assert np.allclose(high[:, 2] - low[:, 2], model.size_lwh_m[2], atol=1e-5)
        assert np.allclose(high.max(axis=0) - low.min(axis=0), model.size_lwh_m, atol=1e-5)


def test_meshes_of_one_key_are_one_mesh_and_are_sound() -> None:
    seen: dict[str, bytes] = {}
    for model in (*cars(), *trucks(), *pedestrians(), *cyclists()):
        for mesh in model.meshes:
            assert seen.setdefault(mesh.key, mesh.vertices_m.tobytes()) == mesh.vertices_m.tobytes()
            assert mesh.triangles.min() >= 0
            assert mesh.triangles.max() < len(mesh.vertices_m)
            assert len(mesh.material) == len(mesh.tint_rgb) == len(mesh.triangles)
            corners = mesh.vertices_m[mesh.triangles].astype(np.float64)
            area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            assert np.linalg.norm(area, axis=1).min() > 1e-8, f"{mesh.key} has a triangle without area"


def test_what_there_is_looks_as_its_class_and_stands_on_the_ground() -> None:
    limits = {  # of length, width, height
        CAR: ((3.3, 1.5, 1.2), (5.6, 2.1, 2.1)),
        TRUCK: ((6.0, 2.0, 2.3), (11.0, 2.6, 3.8)),
        PEDESTRIAN: ((0.25, 0.3, 1.1), (1.2, 1.0, 2.0)),
        BICYCLE: ((1.3, 0.35, 1.3), (2.1, 0.9, 2.0)),
    }
    for seed in range(4):
        actors = oracles.world_of(seed).actors(at(3.0))
        assert np.allclose(actors.center_m[:, 2], 0.5 * actors.size_lwh_m[:, 2])
        for row, class_id in enumerate(actors.class_id.tolist()):
            low, high = limits[class_id]
            assert np.all(actors.size_lwh_m[row] >= low), (OBJECT_CLASSES[class_id], actors.size_lwh_m[row])
            assert np.all(actors.size_lwh_m[row] <= high), (OBJECT_CLASSES[class_id], actors.size_lwh_m[row])


# --- motion -----------------------------------------------------------------------------------------------------------

# At most: speed, speed sideways, turning, accelerating, braking, acceleration to the side.
LIMITS = {
    "ego": (14.0, 0.01, 0.6, 2.0, 2.5, 2.6),
    "car": (14.0, 0.01, 0.6, 2.5, 3.2, 2.6),
    "truck": (14.0, 0.01, 0.6, 2.5, 3.2, 2.6),
    "pedestrian": (2.5, 0.01, 0.2, 3.0, 3.0, 0.5),
    "bicycle": (7.0, 0.01, 0.3, 1.0, 1.0, 1.2),
}


def check_motion(name: str, poses: np.ndarray, who: str) -> None:
    speed, sideways, turning, faster, slower, inwards = LIMITS[name]
    found = oracles.motion(poses, STEP_S)
    assert found.forward_mps.max() < speed, who
    assert found.forward_mps.min() > -1e-6, f"{who} goes backwards"
    assert np.abs(found.left_mps).max() < sideways, f"{who} slides"
    assert np.abs(found.turning_radps).max() < turning, who
    assert found.forward_mps2.max() < faster, who
    assert found.forward_mps2.min() > -slower, who
    assert np.abs(found.left_mps2).max() < inwards, who
    assert np.allclose(poses[:, 2, 3], poses[0, 2, 3]), f"{who} leaves the ground"


def check_motions(seed: int) -> None:
    world = oracles.world_of(seed)
    times = np.arange(0, at(SECONDS), at(STEP_S), dtype=np.int64)
    check_motion("ego", world.world_from_ego(times), f"seed {seed}: ego")
    seen: dict[int, tuple[int, int, int]] = {}
    for time in times[::25].tolist():
        actors = world.actors(time)
        for number, class_id in zip(actors.object_id.tolist(), actors.class_id.tolist(), strict=True):
            seen[number] = (class_id, seen.get(number, (0, time))[1], time)
    for number, (class_id, first, last) in seen.items():
        here = times[(times >= first) & (times <= last)]
        if here.size > 2:
            name = OBJECT_CLASSES[class_id]
            check_motion(name, world.poses(number, here), f"seed {seed}: {name} {number}")


@pytest.mark.parametrize("seed", [0, 1])
def test_everybody_moves_as_they_can(seed: int) -> None:
    check_motions(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_everybody_moves_as_they_can_over_seeds(seed: int) -> None:
    check_motions(seed)


@pytest.mark.parametrize("seed", [0, 3])
def test_velocities_and_poses_are_those_of_the_motion(seed: int) -> None:
    world = oracles.world_of(seed)
    for time in (at(0.35), at(7.0), at(19.9)):
        actors = world.actors(time)
        for row, number in enumerate(actors.object_id.tolist()):
            before, now, after = world.poses(number, time + np.array([-at(0.001), 0, at(0.001)]))
            assert np.allclose(now[:3, 3], actors.center_m[row], atol=1e-9)
            turned = np.arctan2(now[1, 0], now[0, 0]) - oracles.yaws(actors.q_wxyz[row : row + 1])[0]
            assert abs(np.sin(0.5 * turned)) < 1e-9
            measured = (after[:3, 3] - before[:3, 3]) / 0.002
            assert np.allclose(measured, actors.velocity_mps[row], atol=1e-3)


# --- the same, however it is asked ------------------------------------------------------------------------------------


def test_any_time_first_or_last_gives_the_same_bytes() -> None:
    times = [at(second) for second in (0.0, 0.1, 4.0, 11.3, 19.9)]
    forward, backward = World(WorldConfig(seed=3)), World(WorldConfig(seed=3))
    onwards = [content(forward.actors(time)) for time in times]
    back = [content(backward.actors(time)) for time in reversed(times)]
    assert onwards == back[::-1]
    alone = World(WorldConfig(seed=3))
    alone.actors_between(0, at(19.0))
    alone.poses(next(iter(onwards[-1])), np.array([at(19.9)]))
    assert content(alone.actors(times[2])) == onwards[2]


@given(st.integers(0, 200), st.integers(1, 40))
@settings(max_examples=25)
def test_poses_do_not_depend_on_how_many_are_asked_at_once(first: int, count: int) -> None:
    world = oracles.world_of(1)
    times = np.arange(240, dtype=np.int64) * 83_333_333
    part = slice(first, first + count)
    assert np.array_equal(world.world_from_ego(times)[part], world.world_from_ego(times[part]))
    for number in world.actors(at(2.0)).object_id[::9].tolist():
        assert np.array_equal(world.poses(number, times)[part], world.poses(number, times[part]))


@pytest.mark.parametrize("seed", [0, 7])
def test_a_longer_drive_begins_the_same(seed: int) -> None:
    short, long = (World(WorldConfig(seed=seed, duration_s=duration)) for duration in (6.0, 90.0))
    times = np.arange(0, at(6.0), at(0.1), dtype=np.int64)
    assert np.array_equal(short.world_from_ego(times), long.world_from_ego(times))
    for time in (0, at(3.0), at(6.0)):
        assert content(short.actors(time)) == content(long.actors(time))
    for number in short.blocks_near(short.world_from_ego(times[-1:])[0, :3, 3]):
        assert np.array_equal(short.block(number).vertices_m, long.block(number).vertices_m)


def test_blocks_are_the_same_in_any_order_and_each_keeps_to_its_stretch() -> None:
    one, other = World(WorldConfig(seed=2)), World(WorldConfig(seed=2))
    numbers = one.blocks_near(one.world_from_ego(np.array([0]))[0, :3, 3])
    here = {number: one.block(number) for number in numbers}
    there = {number: other.block(number) for number in reversed(numbers)}
    for number in numbers:
        for column in ("vertices_m", "triangles", "material", "tint_rgb"):
            assert np.array_equal(getattr(here[number], column), getattr(there[number], column))
    # Asphalt of consecutive blocks joins without a gap: together it is one piece, and nothing lies on it twice.
    pieces = []
    for mesh in here.values():
        corners = mesh.vertices_m[mesh.triangles[mesh.material == Material.ASPHALT]].astype(np.float64)
        pieces.append(shapely.unary_union(shapely.polygons(corners[..., :2])))
    assert shapely.unary_union([piece.buffer(1e-3) for piece in pieces]).geom_type == "Polygon"
    for before, after in pairwise(pieces):
        assert before.intersection(after).area < 0.01
    way = one.world_from_ego(np.arange(0, at(SECONDS), at(1.0), dtype=np.int64))[:, :2, 3]
    away = shapely.distance(shapely.unary_union(pieces), shapely.points(way[:5]))
    assert away.max() < 1e-3, "the vehicle drives on asphalt"


def test_what_is_near_is_within_range_and_named_for_the_whole_interval() -> None:
    world = World(WorldConfig(seed=5, range_m=60.0))
    named = set(world.actors_between(at(2.0), at(6.0)).tolist())
    seen: set[int] = set()
    for time in range(at(2.0), at(6.0) + 1, at(0.05)):
        actors = world.actors(time)
        ego = world.world_from_ego(np.array([time]))[0, :2, 3]
        assert np.linalg.norm(actors.center_m[:, :2] - ego, axis=1).max() <= 60.0
        assert np.all(np.diff(actors.object_id) > 0), "sorted, and each once"
        seen |= set(actors.object_id.tolist())
    assert seen <= named
    assert len(named - seen) < 0.15 * len(named)


def test_objects_keep_what_they_are_and_come_and_go() -> None:
    world = oracles.world_of(1)
    frames = [world.actors(at(time)) for time in np.arange(0.0, SECONDS, 0.5)]
    kept: dict[int, tuple[object, ...]] = {}
    there: dict[int, list[int]] = {}
    for frame, actors in enumerate(frames):
        for row, number in enumerate(actors.object_id.tolist()):
            body = (
                actors.mesh[row].key.rsplit("/", 1)[0]
                if actors.class_id[row] > TRUCK
                else actors.mesh[row].key
            )
            same = (
                actors.class_id[row],
                actors.size_lwh_m[row].tobytes(),
                actors.tints_rgb[row].tobytes(),
                body,
            )
            assert kept.setdefault(number, same) == same
            there.setdefault(number, []).append(frame)
    first, last = (np.array([edge(rows) for rows in there.values()]) for edge in (min, max))
    assert (first > 0).sum() > 5, "some enter"
    assert (last < len(frames) - 1).sum() > 5, "some leave"


def test_other_ids_are_refused() -> None:
    world = oracles.world_of(0)
    for number in (-1, 10**15):
        with pytest.raises(UsageError, match="no object"):
            world.poses(number, np.array([0]))
    with pytest.raises(UsageError, match="block"):
        world.block(-1)


def test_equal_seeds_give_equal_worlds_and_others_others() -> None:
    one, same, other = (World(WorldConfig(seed=seed)) for seed in (8, 8, 9))
    assert content(one.actors(at(1.0))) == content(same.actors(at(1.0)))
    assert content(one.actors(at(1.0))) != content(other.actors(at(1.0)))
    times = np.arange(3, dtype=np.int64) * at(5.0)
    assert not np.allclose(one.world_from_ego(times), other.world_from_ego(times))


def test_the_world_of_a_seed_has_not_changed() -> None:
    """To the millimetre, since another processor may round the last bit otherwise."""
    world = oracles.world_of(0)
    digest = hashlib.sha256()
    for time in (0, at(10.0)):
        actors = world.actors(time)
        digest.update(actors.object_id.astype("<i8").tobytes() + actors.class_id.astype("<i2").tobytes())
        digest.update((actors.center_m.round(3) + 0.0).tobytes() + actors.size_lwh_m.round(3).tobytes())
    ends = world.world_from_ego(np.array([0, at(SECONDS)]))
    digest.update((ends.round(3) + 0.0).tobytes())
    assert digest.hexdigest() == WORLD_DIGEST, (
        "another world: if that is meant, ALGORITHM_VERSION goes up too"
    )


WORLD_DIGEST = "6326aab2ba3f7fd81f719e8255458e0b0dba8b7f2addde954cb9d02b654de297"


# --- what there is to see ---------------------------------------------------------------------------------------------


def test_a_drive_has_all_that_drives_have() -> None:
    """All classes in each; in a few together who parks, drives, stops, waits and crosses, and bends."""
    stopped, turned, crossed = 0, 0.0, 0
    for seed in range(4):
        world = oracles.world_of(seed)
        times = np.arange(0, at(SECONDS), at(0.5), dtype=np.int64)
        frames = [world.actors(time) for time in times.tolist()]
        classes = np.unique(np.concatenate([actors.class_id for actors in frames]))
        assert classes.tolist() == [0, 1, 2, 3], f"seed {seed}"
        speeds: dict[tuple[int, int], list[float]] = {}
        for actors in frames:
            speed = np.linalg.norm(actors.velocity_mps, axis=1)
            for key, value in zip(
                zip(actors.class_id.tolist(), actors.object_id.tolist(), strict=True), speed, strict=True
            ):
                speeds.setdefault(key, []).append(float(value))
        vehicles = [values for (class_id, _), values in speeds.items() if class_id <= TRUCK]
        assert sum(max(values) == 0.0 for values in vehicles) > 3, "some are parked"
        assert sum(min(values) > 3.0 for values in vehicles) > 3, "some drive"
        stopped += sum(min(values) < 0.1 and max(values) > 3.0 for values in vehicles)
        crossed += sum(
            min(values) < 0.1 < max(values)
            for (class_id, _), values in speeds.items()
            if class_id == PEDESTRIAN
        )
        pose = world.world_from_ego(times)
        turned = max(turned, float(np.ptp(np.unwrap(np.arctan2(pose[:, 1, 0], pose[:, 0, 0])))))
    assert stopped > 2, "some stop, or set out"
    assert crossed > 2, "some wait and then cross"
    assert turned > np.radians(30.0)


def test_densities_are_what_they_say() -> None:
    empty = World(WorldConfig(seed=1, traffic=0.0, parked=0.0, people=0.0))
    assert len(empty.actors(at(5.0)).object_id) == 0
    assert len(empty.actors_between(0, at(5.0))) == 0
    busy, usual = (World(WorldConfig(seed=1, **config)).actors(at(5.0)) for config in (BUSY, {}))
    assert len(busy.object_id) > len(usual.object_id)
    parked = World(WorldConfig(seed=1, traffic=0.0, people=0.0)).actors(at(5.0))
    assert len(parked.object_id) > 0
    assert not parked.velocity_mps.any()


def test_light_varies_and_can_be_chosen() -> None:
    lights = [World(WorldConfig(seed=seed)).light for seed in range(24)]
    heights = np.array([light.sun_direction[2] for light in lights])
    assert np.allclose([np.linalg.norm(light.sun_direction) for light in lights], 1.0)
    assert heights.min() > 0.05, "the sun is up"
    assert np.ptp(heights) > 0.4
    assert len({light.haze_per_m for light in lights}) == len(lights)
    ratio = np.array([light.sun_rgb.sum() / light.sky_rgb.sum() for light in lights])
    assert ratio.min() < 0.3 < 1.2 < ratio.max(), "dull days and sunny ones"
    for daylight in Daylight:
        chosen = World(WorldConfig(seed=0, light=daylight)).light
        assert (chosen.sun_direction[2] < 0.25) == (daylight is Daylight.DUSK)


def test_blocks_are_near_when_something_of_them_is() -> None:
    world = oracles.world_of(0)
    place = world.world_from_ego(np.array([at(10.0)]))[0, :3, 3]
    numbers = world.blocks_near(place)
    assert list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    assert len(numbers) * BLOCK_M >= 2 * 110.0
