from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import simplejpeg

from fleetlabel.geometry import se3
from fleetlabel.geometry.boxes import EDGES
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.store import SampleStatus, SequenceStore
from fleetlabel.viewers.camera_tile import decode_at_least
from fleetlabel.viewers.layout import Layout, arrange
from fleetlabel.viewers.palette import COMPARED, PANEL, PROBLEM, ColorBy, class_color
from fleetlabel.viewers.scene import FrameScene, SceneReader
from fleetlabel.viewers.sheet import draw_sheet
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
WIDTH = 1200


def layout_of(scene: FrameScene) -> Layout:
    views = scene.cameras
    aspects = [view.camera.width_px / view.camera.height_px for view in views]
    return arrange(WIDTH, [view.azimuth_rad for view in views], aspects, with_ground=scene.ground is not None)


def scene_at(store: SequenceStore, frame: int, *versions: str) -> FrameScene:
    return SceneReader(store, versions or ["machine"]).at(frame)


def draw(
    store: SequenceStore, frame: int = 0, *versions: str, **options: object
) -> tuple[np.ndarray, Layout]:
    scene = scene_at(store, frame, *versions)
    return draw_sheet(scene, width_px=WIDTH, **options), layout_of(scene)  # type: ignore[arg-type]


def tile(sheet: np.ndarray, layout: Layout, row: int = 0) -> np.ndarray:
    return sheet[layout.cameras[row].window]


def near_color(picture: np.ndarray, xy: np.ndarray, color: tuple[int, int, int]) -> float:
    """Least distance of the pixels around a place to a colour."""
    x, y = np.floor(xy).astype(int)
    around = picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].reshape(-1, 3).astype(float)
    return float(np.linalg.norm(around - color, axis=1).min())


def boxes2d(frame: list[int], xyxy: list[tuple[float, float, float, float]], **columns: object) -> Boxes2D:
    defaults = {"class_id": np.zeros(len(frame)), "track_id": np.arange(len(frame))}
    return Boxes2D(
        class_names=CLASS_NAMES,
        frame=np.array(frame),
        timestamp_ns=START_NS + STEP_NS * np.array(frame),
        xyxy_px=np.array(xyxy, dtype=float).reshape(-1, 4),
        **(defaults | columns),
    )


def test_a_cuboid_is_drawn_where_an_independent_projection_puts_it(store_of: MakeStore) -> None:
    cuboid = cuboids([0], [(14, 1, 0.75)], yaw_rad=0.5)
    store = store_of(Drive(cameras=("front",), speed_mps=0.0, boxes3d=cuboid))
    sheet, layout = draw(store)
    picture, camera = tile(sheet, layout), camera_model()
    corners = se3.apply(se3.invert(ego_from_camera(0.0)), cuboid.corners_m()[0])
    middles = corners[np.array(EDGES)].mean(axis=1)
    uv, _ = cv2.projectPoints(middles, np.zeros(3), np.zeros(3), camera.matrix, np.zeros(5))
    places = uv.reshape(-1, 2) * (picture.shape[1] / camera.width_px, picture.shape[0] / camera.height_px)
    for place in places:
        assert near_color(picture, place, class_color("car")) < 90, place
    for far in ([30.0, picture.shape[0] - 30], [picture.shape[1] - 30, picture.shape[0] - 30.0]):
        assert near_color(picture, np.array(far), class_color("car")) > 120, "grey where there is nothing"


@pytest.mark.parametrize("kind", ["distorted", "fisheye"])
def test_curved_edges_are_drawn_as_the_lens_bends_them(store_of: MakeStore, kind: str) -> None:
    camera = camera_model(kind)
    cuboid = cuboids([0], [(4, 0.2, 1.5)], size_lwh_m=(1.0, 5.0, 2.4))
    store = store_of(Drive(cameras=("front",), models={"front": camera}, speed_mps=0.0, boxes3d=cuboid))
    sheet, layout = draw(store)
    picture = tile(sheet, layout)
    corners = se3.apply(se3.invert(ego_from_camera(0.0)), cuboid.corners_m()[0])
    zoom = picture.shape[1] / camera.width_px
    for share in (0.2, 0.35, 0.65, 0.8):
        top_rear = corners[5] + share * (corners[6] - corners[5])
        place = camera.project(top_rear[None])[0][0] * zoom
        assert near_color(picture, place, class_color("car")) < 90


def test_boxes_of_pictures_are_drawn_where_they_are(store_of: MakeStore) -> None:
    found = boxes2d([0, 0], [(60, 60, 140, 120), (200, 40, 260, 150)], class_id=np.array([0, 1]))
    sheet, layout = draw(store_of(Drive(cameras=("front",), boxes2d={"front": found})))
    picture = tile(sheet, layout)
    zoom = picture.shape[1] / 320
    for corner in ((60, 60), (140, 60), (140, 120), (60, 120)):
        assert near_color(picture, np.array(corner) * zoom, class_color("car")) < 60
    for corner in ((200, 150), (260, 150)):
        assert near_color(picture, np.array(corner) * zoom, class_color("pedestrian")) < 60
    assert near_color(picture, np.array([100, 90]) * zoom, class_color("car")) > 120, "not inside"


def test_footprints_and_points_are_drawn_to_scale(store_of: MakeStore) -> None:
    cuboid = cuboids([0], [(20, 10, 0.75)], size_lwh_m=(6.0, 4.0, 2.0))
    store = store_of(Drive(cameras=("front",), speed_mps=0.0, boxes3d=cuboid))
    sheet, layout = draw(store, radius_m=40.0)
    assert layout.ground is not None
    ground = sheet[layout.ground.window]
    height, width = ground.shape[:2]
    scale = min(height, width) / 80
    rear = np.array([width / 2 - 10 * scale, height / 2 - 17 * scale])
    assert near_color(ground, rear, class_color("car")) < 60
    beside = np.array([width / 2 + 10 * scale, height / 2 - 17 * scale])
    assert near_color(ground, beside, class_color("car")) > 120
    grid_point = np.array([width / 2 - 12 * scale, height / 2 + 15.5 * scale])
    assert near_color(ground, grid_point, PANEL) < near_color(ground, grid_point + 0.25 * scale, PANEL) + 1
    assert (ground[int(grid_point[1]) - 2 : int(grid_point[1]) + 3] != PANEL).any()


def test_another_version_is_dashed_white(store_of: MakeStore) -> None:
    store = store_of(Drive(cameras=("front",), speed_mps=0.0, boxes3d=cuboids([0], [(14, 3, 0.75)])))
    other = cuboids([0], [(14, -3, 0.75)])
    store.write_labels("ground_truth", {}, other, class_names=CLASS_NAMES, provenance={})
    alone, layout = draw(store, 0, "machine")
    both, _ = draw(store, 0, "machine", "ground_truth")
    changed = (tile(alone, layout) != tile(both, layout)).any(axis=2)
    changed_columns = np.nonzero(changed)[1]
    assert (changed_columns > layout.cameras[0].width / 2).all(), "what is right of the vehicle"
    assert np.abs(tile(both, layout)[changed].astype(int) - COMPARED).sum(axis=1).min() < 30


def test_missing_and_broken_pictures_are_dark_and_say_why(store_of: MakeStore) -> None:
    whole = simplejpeg.encode_jpeg(np.full((180, 320, 3), 90, np.uint8))
    store = store_of(
        Drive(
            cameras=("front", "back", "left"),
            status={("front", 0): SampleStatus.MISSING, ("back", 0): SampleStatus.QUARANTINED},
            jpeg={("left", 0): bytes(whole[: len(whole) // 2])},
            boxes3d=cuboids([0], [(14, 0, 0.75)]),
        )
    )
    sheet, layout = draw(store)
    for row in range(3):
        picture = tile(sheet, layout, row)
        assert np.median(picture) < 60, "dark"
        assert (np.abs(picture.astype(int) - PROBLEM).sum(axis=2) < 150).any(), "with a reason"
    outline = np.abs(tile(sheet, layout, 0).astype(int) - class_color("car")).sum(axis=2) < 60
    assert outline.any(), "labels are still to be seen"


def test_pictures_of_another_size_than_the_calibration_says_fit(store_of: MakeStore) -> None:
    half = bytes(simplejpeg.encode_jpeg(np.full((90, 160, 3), 200, np.uint8)))
    sheet, layout = draw(store_of(Drive(cameras=("front",), jpeg={("front", 0): half})))
    assert np.median(tile(sheet, layout)) > 150


@pytest.mark.parametrize("by", list(ColorBy))
@pytest.mark.parametrize("drive", [Drive(), Drive(lidar=False), Drive(cameras=()), Drive(cameras=("front",))])
def test_there_may_be_nothing_to_show(store_of: MakeStore, drive: Drive, by: ColorBy) -> None:
    sheet, layout = draw(store_of(drive), color_by=by)
    assert sheet.shape == (layout.height, layout.width, 3)
    assert sheet.dtype == np.uint8
    assert sheet.any()


def test_all_frames_give_the_same_size(store_of: MakeStore) -> None:
    status = {("front", 1): SampleStatus.MISSING, ("top", 2): SampleStatus.MISSING}
    reader = SceneReader(store_of(Drive(status=status, boxes3d=cuboids([2], [(14, 0, 0.75)]))), ["machine"])
    sizes = {draw_sheet(reader.at(frame), width_px=WIDTH).shape for frame in range(4)}
    assert len(sizes) == 1


def test_five_hundred_boxes_everywhere_are_drawn_in_time(store_of: MakeStore) -> None:
    rng = np.random.default_rng(1)
    places = [tuple(place) for place in rng.uniform((-60, -60, 0), (60, 60, 2), (500, 3))]
    corners = np.sort(rng.uniform(0, 1, (500, 2, 2)), axis=1).reshape(-1, 4) * (320, 180, 320, 180)
    found = {name: boxes2d([0] * 500, list(map(tuple, corners))) for name in Drive().cameras}
    reader = SceneReader(store_of(Drive(boxes2d=found, boxes3d=cuboids([0] * 500, places))), ["machine"])
    draw_sheet(reader.at(0))
    started = time.process_time()
    draw_sheet(reader.at(0))
    assert time.process_time() - started < 3.0


def test_jpegs_are_decoded_no_larger_than_needed() -> None:
    jpeg = bytes(simplejpeg.encode_jpeg(np.full((1080, 1920, 3), 90, np.uint8)))
    assert decode_at_least(jpeg, 551, 310).shape == (405, 720, 3)
    assert decode_at_least(jpeg, 1920, 1080).shape == (1080, 1920, 3)
    assert decode_at_least(jpeg, 4000, 2250).shape == (1080, 1920, 3)


def test_pngs_are_shown_as_jpegs_are(store_of: MakeStore) -> None:
    colour = np.full((180, 320, 3), (200, 90, 30), np.uint8)
    for data in (bytes(simplejpeg.encode_jpeg(colour, colorspace="BGR")), png_of(colour)):
        sheet, layout = draw(store_of(Drive(cameras=("front",), jpeg={("front", 0): data})))
        shown = np.median(tile(sheet, layout).reshape(-1, 3), axis=0)
        np.testing.assert_allclose(shown, 0.92 * np.array([200, 90, 30]), atol=4)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_damaged_png_is_dark_and_says_why(store_of: MakeStore, kept: float) -> None:
    noise = png_of(np.random.default_rng(0).integers(0, 255, (180, 320, 3), dtype=np.uint8))
    for data in (noise[: int(kept * len(noise))], noise[:500] + bytes(40) + noise[540:]):
        with pytest.raises(ValueError, match="PNG"):
            decode_at_least(data, 320, 180)
        sheet, layout = draw(store_of(Drive(cameras=("front",), jpeg={("front", 0): data})))
        picture = tile(sheet, layout)
        assert np.median(picture) < 60
        assert (np.abs(picture.astype(int) - PROBLEM).sum(axis=2) < 150).any()


def png_of(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])
