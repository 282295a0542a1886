"""What the pointer does on every panel. Places are in pixels of the window, and of the panel once it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.labels import Edit
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import EditError
from fleetlabel.viewers.editor import commands, object_commands, pane_commands
from fleetlabel.viewers.editor.drawing import draw_here, new_in_picture, picture_place
from fleetlabel.viewers.editor.fitting import fitted_face
from fleetlabel.viewers.editor.gizmo2d import Xyxy, boxes_under, dragged, handle_at
from fleetlabel.viewers.editor.panes import Side
from fleetlabel.viewers.editor.picking import cuboid_on_ray
from fleetlabel.viewers.editor.session import Drag2D, Drag3D, Mode
from fleetlabel.viewers.editor.window_layout import (
    Panel,
    arrange_list,
    fit_picture,
    frame_at,
    strip_cells,
)
from fleetlabel.viewers.editor.workbench import Workbench

_CLICK_PX = 4.0  # the pointer may move that far within a click
_REACH_PX = 7.0  # of edges in pictures
_SMALLEST_DRAWN_PX = 6.0


@dataclass(frozen=True, slots=True)
class PointerEvent:
    """One thing that the pointer did.

    Attributes:
        kind: ``move``, ``down``, ``drag``, ``up``, ``wheel`` or ``double``.
        x, y: where, in pixels of the window.
        button: ``left``, ``middle`` or ``right``.
        wheel: turns away from the person.
    """

    kind: str
    x: float
    y: float
    button: str = "left"
    wheel: float = 0.0


def handle(bench: Workbench, event: PointerEvent) -> None:
    """Does what the pointer asks for; a drag belongs to the panel that it began in."""
    s = bench.session
    before, s.pointer = s.pointer, (event.x, event.y)
    if event.kind == "down":
        bench.grabbed = bench.layout.panel_at(event.x, event.y)
        bench.pressed_at = (event.x, event.y)
        bench.turned = False
    panel = bench.layout.panel_at(event.x, event.y)
    if event.kind in ("drag", "up"):
        panel = bench.grabbed
    _hover(bench, event)
    if panel is None:
        return
    place = bench.layout.places[panel]
    local = replace(event, x=event.x - place.x, y=event.y - place.y)
    way = (event.x - before[0], event.y - before[1])
    _on_panel(bench, panel, local, way)
    if event.kind == "up":
        bench.grabbed = None


def _on_panel(bench: Workbench, panel: Panel, local: PointerEvent, way: tuple[float, float]) -> None:
    if panel is Panel.MAIN:
        _on_main(bench, local, way)
    elif panel is Panel.PANES:
        _on_panes(bench, local)
    elif panel is Panel.CAMERAS:
        _on_cameras(bench, local)
    elif panel is Panel.LIST:
        _on_list(bench, local)
    elif panel is Panel.TIMELINE:
        _on_timeline(bench, local)
    elif panel is Panel.STRIP:
        _on_strip(bench, local)


def _hover(bench: Workbench, event: PointerEvent) -> None:
    """Which pane keys go to: the one under the pointer, or the one that it dragged off."""
    s = bench.session
    if s.drag is not None or s.nudging:
        return
    panes, side = bench.layout.places[Panel.PANES], None
    for name, place in zip(Side, bench.layout.panes, strict=True):
        x, y = event.x - panes.x, event.y - panes.y
        if place.x <= x < place.x + place.width and place.y <= y < place.y + place.height:
            side = name
    if side is not s.hovered:
        s.hovered = side
        bench.dirty.add(Panel.PANES)


# --- perspective view, or the camera over it ------------------------------------------------------------------------


def _on_main(bench: Workbench, event: PointerEvent, way: tuple[float, float]) -> None:
    s = bench.session
    if s.help_open:
        if event.kind == "up":
            commands.cancel(bench)
        return
    place = bench.layout.places[Panel.MAIN]
    if s.clash is not None:
        if event.kind == "up" and event.button == "left":
            bench.drop_clash(mine=event.x >= place.width / 2)
        return
    if s.enlarged:
        _on_picture(bench, event)
        return
    if event.kind == "wheel":
        s.orbit.zoom(event.wheel)
        bench.dirty.add(Panel.MAIN)
    elif event.kind == "drag":
        x, y = bench.pressed_at[0] - place.x, bench.pressed_at[1] - place.y
        if bench.turned or np.hypot(event.x - x, event.y - y) > _CLICK_PX:
            bench.turned = True
            if event.button == "left" and not bench.held.shift:
                s.orbit.turn(*way)
            else:
                s.orbit.pan(*way, place.height)
            bench.dirty.add(Panel.MAIN)
    elif event.kind == "up" and not bench.turned and event.button == "left":
        if s.mode is Mode.DRAW:
            draw_here(bench)
            return
        ray = s.orbit.ray(event.x, event.y, place.width, place.height)
        boxes = bench.source.cuboids_at(s.frame, s.frame + 1)
        # Who looks for the other one is not asked about the one in front of it.
        away = [*s.hidden, *([s.selected] if s.mode is Mode.MERGE and s.selected is not None else [])]
        boxes = boxes.take(~boxes.ignore & ~np.isin(boxes.track_id, np.array(away, dtype=np.int64)))
        row = cuboid_on_ray(boxes, s.orbit.eye_m, ray)
        choose(bench, None if row is None else int(boxes.track_id[row]))


def choose(bench: Workbench, object_id: int | None) -> None:
    """An object was clicked: it is selected, or joined with the selected one."""
    s = bench.session
    if s.mode is Mode.MERGE:
        if object_id is None:
            bench.say("That is no object; click one, or Esc gives up")
        else:
            object_commands.merge_with(bench, object_id)
        return
    if s.ghost is None:
        bench.select(object_id)


# --- an enlarged camera ---------------------------------------------------------------------------------------------


def _on_picture(bench: Workbench, event: PointerEvent) -> None:
    s = bench.session
    place, zoom = picture_place(bench)
    u, v = (event.x - place.x) * zoom, (event.y - place.y) * zoom
    camera = bench.source.info.sensor(s.enlarged).camera
    assert camera is not None
    if event.kind == "down" and event.button == "left":
        box = bench.picture_box(s.enlarged)
        if s.mode is Mode.DRAW:
            s.drag = Drag2D(None, (u, v), (u, v, u, v))
        elif box is not None and (held := handle_at(box, u, v, _REACH_PX * zoom)) is not None:
            s.drag = Drag2D(held, (u, v), box)
    elif event.kind == "drag" and isinstance(s.drag, Drag2D):
        bench.turned = bench.turned or np.hypot(u - s.drag.start[0], v - s.drag.start[1]) > _CLICK_PX * zoom
        if not bench.turned:
            return
        if s.drag.handle is None:
            s.adjusted2d = _drawn(s.drag.start, (u, v), camera.width_px, camera.height_px)
        else:
            step = (u - s.drag.start[0], v - s.drag.start[1])
            s.adjusted2d = dragged(s.drag.box, s.drag.handle, *step, camera.width_px, camera.height_px)
        bench.dirty.add(Panel.MAIN)
    elif event.kind == "up" and event.button == "left":
        drag, s.drag = s.drag, None
        if isinstance(drag, Drag2D) and s.adjusted2d is not None:
            _let_go_2d(bench, drag, s.adjusted2d)
        elif s.mode is not Mode.DRAW:
            chosen = picture_object(bench, s.enlarged, u, v, _REACH_PX * zoom)
            if chosen is not None or s.mode is Mode.MERGE:
                choose(bench, chosen)


def _let_go_2d(bench: Workbench, drag: Drag2D, box: Xyxy) -> None:
    s = bench.session
    if drag.handle is None:
        s.adjusted2d = None
        if min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST_DRAWN_PX:
            new_in_picture(bench, box)
        bench.dirty |= set(Panel)
        return
    assert s.selected is not None
    bench.next_action()
    try:
        edits: tuple[Edit, ...] = bench.source.now.box_edits(s.selected, s.enlarged, s.frame, box)
        if len(drag.handle.edges) < 4:
            edits = edits[:1]  # an edge of what is seen says nothing about depth
    except EditError:
        edits = (e.SetKeyframe2D(object_id=s.selected, camera=s.enlarged, frame=s.frame, xyxy_px=box),)
    if not bench.commit(edits, f"box in {s.enlarged} set"):
        s.adjusted2d = None
        bench.dirty |= set(Panel)


def picture_object(bench: Workbench, camera: str, u: float, v: float, reach_px: float) -> int | None:
    """The object under a pixel of a picture: the smallest 2D box there, or the nearest cuboid behind it."""
    s = bench.session
    boxes = bench.source.pictures_at(camera, s.frame)
    boxes = boxes.take(~boxes.ignore & (boxes.track_id >= 0))
    rows = boxes_under(boxes.xyxy_px, u, v, reach_px)
    if len(rows):
        return int(boxes.track_id[rows[0]])
    picture = bench.cache.pictures(s.frame)[camera].picture
    ray_camera = picture.camera.unproject(np.array([[u, v]]))[0]
    pose = picture.world_from_camera
    cuboids = bench.source.cuboids_at(s.frame, s.frame + 1)
    row = cuboid_on_ray(cuboids, pose[:3, 3], se3.apply(pose, ray_camera[None])[0] - pose[:3, 3])
    return None if row is None else int(cuboids.track_id[row])


def _drawn(start: tuple[float, float], now: tuple[float, float], width_px: int, height_px: int) -> Xyxy:
    (u0, u1), (v0, v1) = sorted((start[0], now[0])), sorted((start[1], now[1]))
    return (max(u0, 0.0), max(v0, 0.0), min(u1, float(width_px)), min(v1, float(height_px)))


# --- top, side, rear ------------------------------------------------------------------------------------------------


def _on_panes(bench: Workbench, event: PointerEvent) -> None:
    s = bench.session
    panes = bench.panes()
    box = bench.shown_pose()
    if event.kind == "wheel":
        s.pane_zoom = float(np.clip(s.pane_zoom * 1.12**event.wheel, 0.25, 6.0))
        bench.dirty.add(Panel.PANES)
        return
    if not panes or box is None:
        return
    at = (event.x, event.y)
    if event.kind == "down" and event.button == "left" and s.hovered in panes:
        held = panes[s.hovered].handle_at(box, *at)
        if held is not None:
            s.drag = Drag3D(s.hovered, held, at, box, bench.held.ctrl)
            bench.dirty.add(Panel.PANES)
    elif event.kind == "drag" and isinstance(s.drag, Drag3D):
        if bench.turned or np.hypot(at[0] - s.drag.start[0], at[1] - s.drag.start[1]) > _CLICK_PX / 2:
            bench.turned = True
            s.adjusted = panes[s.drag.side].dragged(s.drag.box, s.drag.handle, s.drag.start, at)
            bench.dirty |= {Panel.PANES}
    elif event.kind == "up" and isinstance(s.drag, Drag3D):
        drag, s.drag = s.drag, None
        moved = s.adjusted or drag.box
        resized = drag.handle.kind in ("face", "corner")
        if drag.fit and drag.handle.faces:
            points = bench.cache.cloud(s.frame).world_m
            for axis, sign in drag.handle.faces:
                moved = fitted_face(moved, points, axis, sign)
        elif s.adjusted is None:
            bench.dirty.add(Panel.PANES)
            return
        words = {"body": "moved", "knob": "turned", "face": "resized", "corner": "resized"}
        bench.next_action()
        pane_commands.put_box(bench, moved, words[drag.handle.kind], resized)


# --- the others -----------------------------------------------------------------------------------------------------


def _on_cameras(bench: Workbench, event: PointerEvent) -> None:
    if event.kind not in ("up", "double") or event.button != "left":
        return
    for name, tile in bench.layout.tiles.items():
        camera = bench.source.info.sensor(name).camera
        if camera is None or not tile.x <= event.x < tile.x + tile.width:
            continue
        if event.kind == "double":
            commands.show_camera(bench, "" if bench.session.enlarged == name else name)
            return
        place = fit_picture(tile, camera.width_px, camera.height_px)
        zoom = camera.width_px / place.width
        u, v = (event.x - place.x) * zoom, (event.y - place.y) * zoom
        chosen = picture_object(bench, name, u, v, 2.0 * zoom)
        if chosen is not None:
            choose(bench, chosen)


def _on_list(bench: Workbench, event: PointerEvent) -> None:
    s = bench.session
    spots = arrange_list(bench.layout)
    listed = bench.listed()
    if event.kind == "wheel":
        top = s.list_top - round(3 * event.wheel)
        s.list_top = min(max(top, 0), max(len(listed) - spots.capacity, 0))
        bench.dirty.add(Panel.LIST)
    elif event.kind == "up" and event.button == "left":
        row = int((event.y - spots.rows_y) // spots.row_height)
        if 0 <= row < spots.capacity and s.list_top + row < len(listed):
            object_id = int(listed.tracks.object_id[listed.order[s.list_top + row]])
            choose(bench, object_id)
            _go_where_it_is(bench, object_id)


def _go_where_it_is(bench: Workbench, object_id: int) -> None:
    """An object that was chosen from the list is brought onto the screen."""
    s, tracks = bench.session, bench.source.tracks()
    row = tracks.row(object_id)
    if s.selected != object_id or row is None:
        return
    if not tracks.first[row] <= s.frame <= tracks.last[row]:
        bench.go(int(tracks.first[row]))
    bench.recentre()


def _on_timeline(bench: Workbench, event: PointerEvent) -> None:
    if event.kind in ("down", "drag"):
        bench.session.playing = False
        bench.go(frame_at(bench.layout, event.x, bench.session.n_frames))


def _on_strip(bench: Workbench, event: PointerEvent) -> None:
    s = bench.session
    if event.kind != "up" or s.selected is None or bench.item is None:
        return
    frames = bench.source.boxes(s.selected).cuboids.frame.tolist()
    for frame, cell in strip_cells(bench.layout, frames, s.frame):
        if cell.x <= event.x < cell.x + cell.width:
            bench.go(frame)
            return
