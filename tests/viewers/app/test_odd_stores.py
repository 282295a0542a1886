"""Stores that lack what the app is about: every key and every panel works, or says in words why not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetlabel.model.errors import FleetLabelError
from fleetlabel.store import SampleStatus, SequenceStore
from fleetlabel.viewers.editor import commands
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import Command, KeyTable, Modifiers
from fleetlabel.viewers.editor.local_source import LocalSource
from fleetlabel.viewers.editor.pointing import PointerEvent
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.panels.cameras_panel import draw_cameras, draw_enlarged
from fleetlabel.viewers.panels.header_panel import draw_header
from fleetlabel.viewers.panels.help_panel import draw_help
from fleetlabel.viewers.panels.list_panel import draw_list
from fleetlabel.viewers.panels.panes_panel import draw_panes
from fleetlabel.viewers.panels.strip_panel import draw_strip
from fleetlabel.viewers.panels.timeline_panel import draw_timeline
from viewers.synthetic_drive import Drive, cuboids

_PANELS = (draw_header, draw_list, draw_cameras, draw_panes, draw_timeline, draw_strip, draw_help)
_TWO_CARS = {"frame": [0, 0], "center_m": [(10.0, 0.0, 0.75), (20.0, 5.0, 0.75)]}
_DRIVES = {
    "without lidar": Drive(lidar=False, cameras=("front", "left"), boxes3d=cuboids(**_TWO_CARS)),
    "without cameras": Drive(cameras=(), boxes3d=cuboids(**_TWO_CARS)),
    "without either": Drive(cameras=(), lidar=False, boxes3d=cuboids(**_TWO_CARS)),
    "one frame": Drive(n_frames=1, cameras=("front",), boxes3d=cuboids(**_TWO_CARS)),
    "empty labels": Drive(cameras=("front",), boxes3d=cuboids([], [])),
    "labels without cuboids": Drive(cameras=("front",)),
    "nothing was recorded": Drive(
        cameras=("front",),
        boxes3d=cuboids(**_TWO_CARS),
        status={(name, frame): SampleStatus.MISSING for name in ("front", "top") for frame in range(4)},
    ),
    "a broken picture": Drive(
        cameras=("front",), boxes3d=cuboids(**_TWO_CARS), jpeg={("front", 0): b"\xff\xd8 no picture"}
    ),
}


@pytest.mark.parametrize("name", _DRIVES)
def test_every_key_and_panel_works(name: str, store_of: Callable[[Drive], SequenceStore]) -> None:
    editor = Editor(LocalSource(store_of(_DRIVES[name]), "Ann"), KeyTable())
    editor.source.build_queue()
    _draw(editor)
    ids = editor.source.tracks().object_id.tolist()
    for command in sorted(Command, key=lambda command: command is Command.DELETE):
        place = editor.layout.places[Panel.PANES if command.value.startswith("pane_") else Panel.MAIN]
        for object_id in [*ids[:1], None]:
            editor.select(object_id)
            _press(editor, command, place.x + place.width / 2, place.y + place.height / 2)
            assert editor.last_fault is None, (command, editor.last_fault)
            editor.session.locked.clear()
            editor.drop_ghost()
    for camera in (1, 1, 9):
        commands.enlarge(editor, camera)
        _draw(editor)
    for panel in Panel:
        place = editor.layout.places[panel]
        for kind in ("move", "down", "drag", "up", "wheel", "double"):
            editor.pointer(
                PointerEvent(kind, place.x + place.width / 2, place.y + place.height / 2, wheel=1.0)
            )
        assert editor.last_fault is None, (panel, editor.last_fault)
    editor.tick(1e9)
    _draw(editor)
    editor.close()


def _press(editor: Editor, command: Command, x: float, y: float) -> None:
    editor.pointer(PointerEvent("move", x, y))
    bindings = [binding for binding in editor.keys.table if binding.command is command]
    for chord in [chord for binding in bindings for chord in binding.chords][:1]:
        *held, key = chord.split("+") if chord != "+" else [chord]
        editor.held = Modifiers("shift" in held, "ctrl" in held, "alt" in held)
        editor.key_down(key)
        editor.key_up(key)
        editor.held = Modifiers()


def _draw(editor: Editor) -> None:
    for draw in _PANELS:
        assert draw(editor).size
    if editor.session.enlarged:
        assert draw_enlarged(editor).size
    editor.cuboids_around()
    _ = editor.ground_m


def test_a_store_without_labels_is_said(store_of: Callable[[Drive], SequenceStore]) -> None:
    with pytest.raises(FleetLabelError, match="no labels"):
        LocalSource(store_of(Drive(labels=False)), "Ann")
