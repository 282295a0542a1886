from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fleetlabel.geometry import se3
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.model.errors import StoreNotFoundError, UsageError
from fleetlabel.store import SampleStatus, SequenceStore
from fleetlabel.viewers.scene import FrameScene, SceneReader
from viewers.synthetic_drive import (
    CLASS_NAMES,
    START_NS,
    STEP_NS,
    Drive,
    camera_model,
    cuboids,
    ego_from_camera,
)

MakeStore = Callable[[Drive], SequenceStore]
FRONT = ("front",)


def scene_of(store: SequenceStore, frame: int, **options: object) -> FrameScene:
    return SceneReader(store, ["machine"], **options).at(frame)  # type: ignore[arg-type]


def middle_pixel(scene: FrameScene) -> np.ndarray:
    """Middle of the only cuboid's outline in the first camera."""
    extent = scene.cameras[0].overlays[0].outlines.extent_px[0]
    return (extent[:2] + extent[2:]) / 2


def pixel_of(point_world: np.ndarray, ego_x_m: float) -> np.ndarray:
    """Where the front camera sees a point when the ego vehicle has come ``ego_x_m`` far."""
    point_camera = se3.apply(se3.invert(ego_from_camera(0.0)), point_world[None] - (ego_x_m, 0, 0))[0]
    camera = camera_model()
    return np.array([camera.fx_px, camera.fy_px]) * point_camera[:2] / point_camera[2] + (
        camera.cx_px,
        camera.cy_px,
    )


def test_an_object_is_seen_from_where_the_ego_vehicle_was_at_exposure(store_of: MakeStore) -> None:
    box = cuboids([2], [(20, 3, 1)], size_lwh_m=(0.02, 0.02, 0.02), velocity_mps=np.zeros((1, 3)))
    scene = scene_of(store_of(Drive(cameras=FRONT, speed_mps=10.0, exposure_ns=-40_000_000, boxes3d=box)), 2)
    expected = pixel_of(np.array([20, 3, 1.0]), ego_x_m=10 * (0.2 - 0.04))
    np.testing.assert_allclose(middle_pixel(scene), expected, atol=0.02)


def test_a_moving_object_is_where_it_was_at_exposure(store_of: MakeStore) -> None:
    velocity = np.array([[-8.0, 4.0, 0.0]])
    box = cuboids([2], [(20, 3, 1)], size_lwh_m=(0.02, 0.02, 0.02), velocity_mps=velocity)
    scene = scene_of(store_of(Drive(cameras=FRONT, speed_mps=0.0, exposure_ns=-50_000_000, boxes3d=box)), 2)
    expected = pixel_of(np.array([20, 3, 1.0]) - 0.05 * velocity[0], ego_x_m=0)
    np.testing.assert_allclose(middle_pixel(scene), expected, atol=0.02)
    # From above it is where it was labelled, as the points are.
    assert scene.ground is not None
    np.testing.assert_allclose(scene.ground.overlays[0].footprint_m.mean(axis=(0, 1)), [20, 3], atol=1e-9)


def test_an_unknown_velocity_is_taken_from_the_track(store_of: MakeStore) -> None:
    path = [(20 - 0.6 * frame, 3, 1) for frame in range(4)]
    box = cuboids([0, 1, 2, 3], path, size_lwh_m=(0.02, 0.02, 0.02), track_id=np.full(4, 7))
    store = store_of(Drive(cameras=FRONT, speed_mps=0.0, exposure_ns=-50_000_000, boxes3d=box))
    for frame in range(4):
        expected = pixel_of(np.add(path[frame], [0.3, 0, 0]), ego_x_m=0)
        np.testing.assert_allclose(middle_pixel(scene_of(store, frame)), expected, atol=0.02)


def test_an_object_seen_once_or_without_identity_stands_still(store_of: MakeStore) -> None:
    path = [(20, 3, 1), (10, -3, 1), (15, 3, 1)]
    box = cuboids([1, 1, 2], path, track_id=np.array([5, -1, -1]))
    scene = scene_of(store_of(Drive(cameras=FRONT, boxes3d=box)), 1)
    assert scene.ground is not None
    np.testing.assert_array_equal(scene.ground.overlays[0].velocity_mps, 0)


def test_velocities_and_places_from_above_are_along_the_ego_axes(store_of: MakeStore) -> None:
    box = cuboids([3], [(20, 3, 1)], velocity_mps=np.array([[1.0, 2.0, 0.5]]))
    scene = scene_of(store_of(Drive(cameras=FRONT, speed_mps=10.0, boxes3d=box)), 3)
    assert scene.ground is not None
    overlay = scene.ground.overlays[0]
    np.testing.assert_allclose(overlay.velocity_mps, [[1.0, 2.0]], atol=1e-6)
    np.testing.assert_allclose(overlay.footprint_m[0], [[19, 4], [15, 4], [15, 2], [19, 2]], atol=1e-9)
    floor = scene.ground.points_m
    assert len(floor) == 120 * 120
    np.testing.assert_allclose(floor[:, 2], 0.0, atol=1e-6)
    np.testing.assert_allclose([floor[:, 0].min(), floor[:, 0].max()], [-30, 29.5], atol=1e-5)


def test_trails_follow_each_track_up_to_now(store_of: MakeStore) -> None:
    frames = [0, 0, 1, 2, 2, 3, 3]
    tracks = np.array([1, 2, 2, 1, 2, 1, 3])
    centers = [(t * 10 + f, t, 0) for f, t in zip(frames, tracks.tolist(), strict=True)]
    drive = Drive(cameras=FRONT, speed_mps=0.0, boxes3d=cuboids(frames, centers, track_id=tracks))
    ground = scene_of(store_of(drive), 3).ground
    assert ground is not None
    overlay = ground.overlays[0]
    assert overlay.cuboids.track_id.tolist() == [1, 3]
    pieces = {tuple(piece.ravel().tolist()) for piece in overlay.trail_m}
    assert pieces == {(10, 1, 12, 1), (12, 1, 13, 1)}, "track 2 has ended, track 3 has just begun"
    assert set(overlay.trail_cuboid.tolist()) == {0}


def test_a_gap_and_a_broken_picture_are_told_apart(store_of: MakeStore) -> None:
    status = {("front", 1): SampleStatus.MISSING, ("back", 1): SampleStatus.QUARANTINED}
    scene = scene_of(store_of(Drive(cameras=("front", "back"), status=status)), 1)
    front, back = scene.cameras
    assert (front.jpeg, front.problem) == (b"", "no picture at this frame")
    assert (back.jpeg, back.problem) == (b"", "back/01.jpg ends after 12 bytes")
    assert scene_of(store_of(Drive(cameras=("front",))), 1).cameras[0].problem == ""


def test_without_lidar_there_is_ground_only_for_cuboids(store_of: MakeStore) -> None:
    assert scene_of(store_of(Drive(cameras=FRONT, lidar=False)), 0).ground is None
    with_cuboid = store_of(Drive(cameras=FRONT, lidar=False, boxes3d=cuboids([2], [(9, 0, 0)])))
    ground = scene_of(with_cuboid, 0).ground
    assert ground is not None, "as long as any frame has one, so that all frames look alike"
    assert len(ground.points_m) == 0


def test_a_missing_sweep_and_unwanted_points_are_no_points(store_of: MakeStore) -> None:
    store = store_of(Drive(cameras=FRONT, status={("top", 1): SampleStatus.MISSING}))
    sizes = [len(SceneReader(store, ["machine"]).at(frame).ground.points_m) for frame in (0, 1)]  # type: ignore[union-attr]
    assert sizes == [14400, 0]
    assert scene_of(store, 0, with_points=False).ground is None


def test_ignore_regions_are_no_cuboids_but_stay_boxes(store_of: MakeStore) -> None:
    ignored = cuboids([0, 0], [(9, 0, 0), (12, 0, 0)], ignore=np.array([True, False]))
    regions = Boxes2D(
        class_names=CLASS_NAMES,
        frame=np.array([0]),
        timestamp_ns=np.array([START_NS]),
        class_id=np.array([3]),
        xyxy_px=np.array([[10.0, 20, 50, 60]]),
        ignore=np.array([True]),
    )
    overlay = scene_of(store_of(Drive(cameras=FRONT, boxes3d=ignored, boxes2d={"front": regions})), 0)
    assert len(overlay.cameras[0].overlays[0].cuboids) == 1
    assert overlay.cameras[0].overlays[0].boxes.ignore.tolist() == [True]
    assert overlay.class_names == ("car",), "no object is of the region's class"


def test_classes_that_occur_are_listed_by_our_names(store_of: MakeStore) -> None:
    box = cuboids([0, 1, 2], [(9, 0, 0)] * 3, class_id=np.array([3, 2, 0]))
    scene = scene_of(store_of(Drive(cameras=FRONT, boxes3d=box)), 0)
    assert scene.class_names == ("car", "truck", "hovercraft")
    assert (scene.n_frames, scene.timestamp_ns, scene.elapsed_s) == (4, START_NS, 0.0)
    assert SceneReader(store_of(Drive(cameras=FRONT)), ["machine"]).at(3).elapsed_s == pytest.approx(
        3 * STEP_NS * 1e-9
    )


def test_cameras_are_shown_as_asked(store_of: MakeStore) -> None:
    store = store_of(Drive())
    scene = scene_of(store, 0, cameras=["left", "front", "left"])
    assert [view.name for view in scene.cameras] == ["left", "front"]
    np.testing.assert_allclose([view.azimuth_rad for view in scene.cameras], np.radians([100, 0]), atol=1e-12)


def test_what_is_not_there_is_named(store_of: MakeStore) -> None:
    store = store_of(Drive(cameras=("front", "back")))
    with pytest.raises(UsageError, match=r"no camera 'side'; it has front, back"):
        SceneReader(store, ["machine"], cameras=["front", "side"])
    with pytest.raises(StoreNotFoundError, match="no labels 'human'"):
        SceneReader(store, ["human"])
    for frame in (-1, 4):
        with pytest.raises(UsageError, match=rf"frames 0\.\.3, no frame {frame}"):
            SceneReader(store, ["machine"]).at(frame)
