"""New objects by hand: under the pointer in the scene, from a box in a picture, drawn in a picture."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import edits as e
from fleetlabel.viewers.editor.creating import Ghost, seed_in_picture, usual_size
from fleetlabel.viewers.editor.fitting import found_box
from fleetlabel.viewers.editor.gizmo2d import Xyxy, boxes_under
from fleetlabel.viewers.editor.picking import ground_on_ray, point_on_ray
from fleetlabel.viewers.editor.session import Mode
from fleetlabel.viewers.editor.window_layout import Panel, fit_picture
from fleetlabel.viewers.editor.workbench import Workbench
from fleetlabel.viewers.layout import Place

_LANE_M = 8.0  # traffic that near tells the direction


def draw_here(bench: Workbench) -> None:
    """A new object under the pointer; if that is over no view of the scene, under the next click."""
    s = bench.session
    panel = bench.layout.panel_at(*s.pointer)
    place = bench.layout.places[Panel.MAIN]
    x, y = s.pointer[0] - place.x, s.pointer[1] - place.y
    if panel is Panel.MAIN and s.enlarged:
        draw_from_picture(bench, x, y)
        return
    if panel is not Panel.MAIN:
        s.mode = Mode.DRAW
        bench.say("Click the points of the new object, or draw its box in an enlarged camera")
        return
    ray = s.orbit.ray(x, y, place.width, place.height)
    points = bench.cache.cloud(s.frame).world_m
    seed = point_on_ray(points, s.orbit.eye_m, ray)
    if seed is None:
        seed = ground_on_ray(s.orbit.eye_m, ray, bench.ground_m)
    if seed is None:
        bench.say("There is nothing under the pointer")
        return
    s.mode = Mode.SELECT
    _ghost_at(bench, seed, _new_class(bench))


def redraw_ghost(bench: Workbench, class_name: str) -> None:
    """The ghost is of another class, and so of another size."""
    ghost = bench.session.ghost
    if ghost is not None:
        _ghost_at(bench, np.array(ghost.poses[ghost.frame].center_m), class_name)


def _ghost_at(bench: Workbench, seed_m: F64, class_name: str) -> None:
    s = bench.session
    known = bench.source.cuboids_at(max(s.frame - 10, 0), min(s.frame + 10, s.n_frames))
    size = usual_size(class_name, known)
    forward = bench.world_from_ego[:3, 0]
    guess = float(np.arctan2(forward[1], forward[0]))
    near = known.take((known.frame == s.frame) & (known.class_labels() == class_name))
    if len(near):  # traffic nearby tells the lane's direction
        away = np.linalg.norm(near.center_m - seed_m, axis=1)
        closest = int(np.argmin(away))
        if away[closest] < _LANE_M:
            guess = float(quaternion.yaw_of(near.q_wxyz[closest : closest + 1])[0])
    points = bench.cache.cloud(s.frame).world_m
    box = found_box(points, seed_m, size, guess, bench.ego_xy(s.frame))
    bench.select(None)
    bench.draw_ghost(Ghost(class_name, s.frame, {s.frame: box}))
    bench.say(
        f"New {class_name.replace('_', ' ')}: being followed in time; Enter keeps it, 1-9 changes its class"
    )


def _new_class(bench: Workbench) -> str:
    """New objects are of the selected one's class, or of the first."""
    item = bench.item
    return bench.source.now.state.class_of(item) if item is not None else bench.digit_classes[0]


def new_in_picture(bench: Workbench, box: Xyxy) -> None:
    """A box was drawn: with points behind it, it becomes a cuboid's ghost; without, an object in this camera only."""
    s = bench.session
    s.mode = Mode.SELECT
    class_name = _new_class(bench)
    shown = bench.cache.pictures(s.frame)[s.enlarged]
    flat = class_name in ("traffic_light", "traffic_sign")
    seed = None if flat else seed_in_picture(bench.cache.cloud(s.frame).world_m, shown.picture, box)
    if seed is not None:
        _ghost_at(bench, seed, class_name)
        return
    object_id = bench.source.new_id()
    edits = (
        e.CreateObject(object_id=object_id, class_name=class_name),
        e.SetKeyframe2D(object_id=object_id, camera=s.enlarged, frame=s.frame, xyxy_px=box),
    )
    bench.commit(edits, f"new in {s.enlarged}")


def draw_from_picture(bench: Workbench, x: float, y: float) -> None:
    """N over an enlarged picture: the 2D box under the pointer becomes a cuboid; over none, one is drawn."""
    s = bench.session
    place, zoom = picture_place(bench)
    boxes = bench.source.pictures_at(s.enlarged, s.frame)
    rows = boxes_under(boxes.xyxy_px, (x - place.x) * zoom, (y - place.y) * zoom, 0.0)
    row = int(rows[0]) if len(rows) else None
    if row is None or _has_cuboid(bench, int(boxes.track_id[row])):
        s.mode = Mode.DRAW
        bench.say("Draw the new object's box")
        return
    x1, y1, x2, y2 = boxes.xyxy_px[row].tolist()
    shown = bench.cache.pictures(s.frame)[s.enlarged]
    seed = seed_in_picture(bench.cache.cloud(s.frame).world_m, shown.picture, (x1, y1, x2, y2))
    if seed is None:
        bench.say("There are no points in this box; it stays in the picture only")
        return
    _ghost_at(bench, seed, str(boxes.class_labels()[row]))


def _has_cuboid(bench: Workbench, object_id: int) -> bool:
    return bench.session.frame in bench.source.boxes(object_id).cuboids.frame


def picture_place(bench: Workbench) -> tuple[Place, float]:
    """Where the enlarged picture lies in the main panel, and the picture's pixels per pixel there."""
    camera = bench.source.info.sensor(bench.session.enlarged).camera
    assert camera is not None
    main = bench.layout.places[Panel.MAIN]
    place = fit_picture(Place(0, 0, main.width, main.height), camera.width_px, camera.height_px)
    return place, camera.width_px / place.width
