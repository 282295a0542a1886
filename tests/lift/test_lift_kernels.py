"""Parts of the lift against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fleetlabel.engine.lift.cloud import ObstacleCloud, obstacle_cloud
from fleetlabel.engine.lift.fit import CAP_IN_FIT, Evidence, cuboid_cost, refine, suggest
from fleetlabel.engine.lift.priors import PRIORS, prior_table
from fleetlabel.engine.lift.selection import cluster
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.ontology import CLASSES, LIFTED_CLASSES
from lift.scenes import TIME_NS, Thing, World, scan

POINTS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(-30, 30, width=32)
)


def joined(xy: F64, gap_m: float) -> F64:
    """Which pairs (N, N) are connected through gaps of at most ``gap_m``."""
    near = cKDTree(xy).sparse_distance_matrix(cKDTree(xy), gap_m, output_type="coo_matrix")
    labels = connected_components(near, directed=False)[1]
    return labels[:, None] == labels[None, :]


@settings(max_examples=60)
@given(xy=POINTS, link_m=st.floats(0.3, 3.0))
def test_clusters_join_small_gaps_and_no_large_ones(xy: F64, link_m: float) -> None:
    labels, count = cluster(xy, link_m)
    together = labels[:, None] == labels[None, :]
    assert set(labels) == set(range(count))
    assert np.all(together[joined(xy, 0.5 * link_m)])
    assert not np.any(together & ~joined(xy, 1.5 * link_m))


def test_no_points_make_no_clusters() -> None:
    labels, count = cluster(np.empty((0, 2)), 0.5)
    assert len(labels) == count == 0


def faces(heading: float, near: F64, length: float, width: float) -> F64:
    """Points on the two faces of a rectangle that meet at its corner ``near``."""
    u = np.array([np.cos(heading), np.sin(heading)])
    v = np.array([-np.sin(heading), np.cos(heading)])
    along, across = np.arange(0.0, length, 0.1)[:, None], np.arange(0.0, width, 0.1)[:, None]
    return np.concatenate([near + along * u, near + across * v])


@settings(max_examples=40)
@given(
    heading=st.floats(0.0, 0.5 * np.pi), range_m=st.floats(5.0, 40.0), seen=st.floats(0.4, 1.0),
    length=st.floats(4.0, 5.0),
)  # fmt: skip
def test_a_car_of_which_one_corner_is_seen_is_laid_behind_that_corner(
    heading: float, range_m: float, seen: float, length: float
) -> None:
    near = np.array([range_m, 0.0])  # seen from the origin: with heading in 0..90 degrees both faces show
    points = faces(heading - 0.25 * np.pi + 0.0, near, seen * length, 1.85)
    size = np.array([[4.55, 1.88], [0.35, 0.11], [3.0, 1.5], [5.6, 2.25]])
    evidence = Evidence(np.zeros(2), np.empty((0, 10)), size, CAP_IN_FIT)
    boxes, costs = suggest(points, evidence)
    box, first = boxes[0].copy(), costs[0]
    cost = refine(box, points, evidence, 0.2, 0.01)
    assert cost <= first + 1e-9
    assert np.isclose(cost, cuboid_cost(box, points, evidence, np.inf))
    c, s = np.cos(box[4]), np.sin(box[4])
    inside = (points @ [c, s] > box[0] - 0.3) & (points @ [c, s] < box[1] + 0.3)
    inside &= (points @ [-s, c] > box[2] - 0.3) & (points @ [-s, c] < box[3] + 0.3)
    assert inside.mean() > 0.95, "the cuboid holds the points"
    assert 3.0 <= box[1] - box[0] <= 5.6
    assert 1.5 <= box[3] - box[2] <= 2.25


@settings(max_examples=50)
@given(bound=st.floats(0.0, 200.0), seed=st.integers(0, 1000))
def test_a_bounded_cost_is_exact_below_its_bound(bound: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform((9.0, -1.0), (15.0, 5.0), (50, 2))
    size = np.array([[4.55, 1.88], [0.35, 0.11], [3.0, 1.5], [5.6, 2.25]])
    evidence = Evidence(np.zeros(2), np.empty((0, 10)), size, CAP_IN_FIT)
    box = np.array([9.7, 14.3, 1.0, 2.9, rng.uniform(-0.3, 0.3)])
    full = cuboid_cost(box, points, evidence, np.inf)
    bounded = cuboid_cost(box, points, evidence, bound)
    assert bounded == full if full <= bound else bounded > bound


def voxels_of(world: World) -> ObstacleCloud:
    return obstacle_cloud(
        scan(world),
        np.eye(4),
        TIME_NS,
        max_range_m=80.0,
        min_range_m=1.5,
        min_height_m=0.22,
        max_height_m=4.5,
    )


def test_obstacles_are_what_stands_on_the_road() -> None:
    kerb = Thing("", 8.0, -6.0, 0.0, (20.0, 0.5, 0.12))
    car = Thing("", 10.0, 3.0)
    cloud = voxels_of(World((kerb, car)))
    on_car = (np.abs(cloud.xyz_m[:, 0] - 10.0) < 2.4) & (np.abs(cloud.xyz_m[:, 1] - 3.0) < 1.1)
    assert on_car.all(), "neither the road nor the kerb is an obstacle"
    assert cloud.n_points[on_car].sum() > 300
    assert 1.45 < cloud.height_m.max() < 1.75


def test_voxels_keep_all_points_sorted_by_cell() -> None:
    cloud = voxels_of(World((Thing("", 10.0, 3.0), Thing("", -6.0, -4.0, 0.4)), slope=(0.02, 0.01)))
    assert len(cloud.cell_ptr) == cloud.n_cells**2 + 1
    assert cloud.cell_ptr[-1] == len(cloud.xyz_m)
    cell = np.floor(cloud.xyz_m[:, :2] + cloud.half_width_m).astype(int) @ [cloud.n_cells, 1]
    assert np.array_equal(np.repeat(np.arange(cloud.n_cells**2), np.diff(cloud.cell_ptr)), cell)
    raw = scan(World((Thing("", 10.0, 3.0), Thing("", -6.0, -4.0, 0.4)), slope=(0.02, 0.01))).points_world
    reach = np.hypot(raw[:, 0], raw[:, 1])
    raw = raw[(reach >= 1.5) & (reach <= 80.0)]
    height = raw[:, 2] - cloud.ground.at(raw[:, :2])
    assert cloud.n_points.sum() == np.count_nonzero((height > 0.22) & (height < 4.5))


def test_every_class_that_can_be_lifted_has_a_plausible_size() -> None:
    assert set(PRIORS) <= LIFTED_CLASSES
    table = prior_table(CLASSES)
    assert np.array_equal(table.row >= 0, [name in PRIORS for name in CLASSES])
    assert np.all((table.min_m < table.mean_m) & (table.mean_m < table.max_m))
    assert np.all((table.sigma_m > 0) & (table.sigma_m < table.mean_m))
    assert np.all(table.mean_m[:, 0] >= table.mean_m[:, 1]), "length is the longer side"
