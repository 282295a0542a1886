"""What a person's hands do, as values; done to an editor, or to a window through xdotool."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fleetlabel.viewers.editor.drawing import picture_place
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import Modifiers
from fleetlabel.viewers.editor.panes import Side
from fleetlabel.viewers.editor.picking import cuboid_on_ray, point_on_ray
from fleetlabel.viewers.editor.pointing import PointerEvent
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.window_layout import Panel, arrange_list, timeline_span

Place = tuple[float, float]


@dataclass(frozen=True)
class Key:
    """A key, with the pointer at a place if that matters."""

    key: str
    held: tuple[str, ...] = ()
    at: Place | None = None


@dataclass(frozen=True)
class Drag:
    """The left button down at one place and up at another: a click if they are the same."""

    start: Place
    stop: Place
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wheel:
    """Turns of the wheel, away from the person if positive."""

    at: Place
    turns: int


Input = Key | Drag | Wheel


def click(at: Place, *held: str) -> Drag:
    return Drag(at, at, held)


class EditorHands:
    """Hands on an editor without a window."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor

    def do(self, done: Input) -> None:
        editor = self.editor
        if isinstance(done, Wheel):
            for _ in range(abs(done.turns)):
                editor.pointer(PointerEvent("wheel", *done.at, wheel=float(np.sign(done.turns))))
            return
        editor.held = Modifiers("shift" in done.held, "ctrl" in done.held, "alt" in done.held)
        if isinstance(done, Key):
            if done.at is not None:
                editor.pointer(PointerEvent("move", *done.at))
            editor.key_down(done.key)
            editor.key_up(done.key)
        else:
            (x0, y0), (x1, y1) = done.start, done.stop
            editor.pointer(PointerEvent("move", x0, y0))
            editor.pointer(PointerEvent("down", x0, y0))
            if done.start != done.stop:
                for share in (0.3, 0.7, 1.0):
                    at = (x0 + share * (x1 - x0), y0 + share * (y1 - y0))
                    editor.pointer(PointerEvent("drag", *at))
            editor.pointer(PointerEvent("up", x1, y1))
        editor.held = Modifiers()
        assert editor.last_fault is None, editor.last_fault


# --- where things are on the screen ---------------------------------------------------------------------------------


def scroll_to(editor: Editor, object_id: int) -> list[Input]:
    """What brings an object's row onto the screen."""
    spots = arrange_list(editor.layout)
    place = editor.listed().place_of(object_id)
    assert place is not None
    top = editor.session.list_top
    middle = list_top(editor)
    if place < top:
        return [Wheel(middle, math.ceil((top - place) / 3))]
    beyond = place - (top + spots.capacity - 1)
    return [Wheel(middle, -math.ceil(beyond / 3))] if beyond > 0 else []


def list_top(editor: Editor) -> Place:
    """A place over the list."""
    spots, column = arrange_list(editor.layout), editor.layout.places[Panel.LIST]
    return column.x + 60.0, column.y + spots.rows_y + 40.0


def leave(editor: Editor) -> PointerEvent:
    """The pointer over the timeline, where it highlights nothing."""
    return PointerEvent("move", *timeline_at(editor, 0))


def list_row(editor: Editor, object_id: int) -> Place:
    """An object in the list; it must be on the screen."""
    spots, column = arrange_list(editor.layout), editor.layout.places[Panel.LIST]
    place = editor.listed().place_of(object_id)
    assert place is not None
    row = place - editor.session.list_top
    assert 0 <= row < spots.capacity, "the object is not on the screen"
    return column.x + 60.0, column.y + spots.rows_y + (row + 0.5) * spots.row_height


def timeline_at(editor: Editor, frame: int) -> Place:
    panel = editor.layout.places[Panel.TIMELINE]
    start, width = timeline_span(editor.layout)
    return panel.x + start + (frame + 0.5) * width / editor.session.n_frames, panel.y + 40.0


def in_pane(editor: Editor, side: Side, box_m: tuple[float, float, float]) -> Place:
    """A place in a pane by metres along the selected box's own axes."""
    panel, pane = editor.layout.places[Panel.PANES], editor.panes()[side]
    u, v = pane.pixels(np.array(box_m)).tolist()
    return panel.x + u, panel.y + v


def knob(editor: Editor) -> Place:
    panel, pane, box = editor.layout.places[Panel.PANES], editor.panes()[Side.TOP], editor.shown_pose()
    assert box is not None
    u, v = pane.knob(box).tolist()
    return panel.x + u, panel.y + v


def about_middle(editor: Editor, at: Place, angle_rad: float) -> Place:
    """A place turned about the middle of the top view's box, as seen on the screen."""
    panel, pane, box = editor.layout.places[Panel.PANES], editor.panes()[Side.TOP], editor.shown_pose()
    assert box is not None
    middle_x, middle_y = (pane.outline(box).mean(axis=0)).tolist()
    middle_x, middle_y = middle_x + panel.x, middle_y + panel.y
    cos, sin = float(np.cos(-angle_rad)), float(np.sin(-angle_rad))
    x, y = at[0] - middle_x, at[1] - middle_y
    return middle_x + cos * x - sin * y, middle_y + sin * x + cos * y


def in_scene(editor: Editor, world_m: tuple[float, float, float]) -> Place:
    place = editor.layout.places[Panel.MAIN]
    at, valid = editor.session.orbit.project(np.array([world_m]), place.width, place.height)
    assert valid[0] and 0 <= at[0, 0] < place.width and 0 <= at[0, 1] < place.height, "not in the view"
    return place.x + float(at[0, 0]), place.y + float(at[0, 1])


def met_in_scene(editor: Editor, world_m: tuple[float, float, float]) -> np.ndarray | None:
    """The point that the pointer meets where a place is seen; None if that is off the view."""
    place, orbit = editor.layout.places[Panel.MAIN], editor.session.orbit
    at, valid = orbit.project(np.array([world_m]), place.width, place.height)
    u, v = at[0].round().tolist()
    if not (valid[0] and 0 <= u < place.width and 0 <= v < place.height):
        return None
    ray = orbit.ray(u, v, place.width, place.height)
    return point_on_ray(editor.cache.cloud(editor.session.frame).world_m, orbit.eye_m, ray)


def object_in_scene(editor: Editor, object_id: int) -> Place:
    """A place of the perspective view where a click meets an object and none before it but the selected one."""
    s, frame = editor.session, editor.session.frame
    boxes = editor.source.cuboids_at(frame, frame + 1)
    boxes = boxes.take(boxes.track_id != (-1 if s.selected is None else s.selected))
    row = int(np.flatnonzero(boxes.track_id == object_id)[0])
    box, place = BoxPose.of_row(boxes, row), editor.layout.places[Panel.MAIN]
    for share in np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3)):
        at = box.world(share * np.array(box.size_lwh_m))
        uv, valid = s.orbit.project(at[None], place.width, place.height)
        u, v = uv[0].round().tolist()
        if valid[0] and 0 <= u < place.width and 0 <= v < place.height:
            ray = s.orbit.ray(u, v, place.width, place.height)
            if cuboid_on_ray(boxes, s.orbit.eye_m, ray) == row:
                return place.x + u, place.y + v
    raise AssertionError("the object is not to be seen in the scene")


def in_picture(editor: Editor, u: float, v: float) -> Place:
    """A pixel of the enlarged picture."""
    main, (place, zoom) = editor.layout.places[Panel.MAIN], picture_place(editor)
    return main.x + place.x + u / zoom, main.y + place.y + v / zoom
