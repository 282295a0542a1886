"""Keys over the top, side and rear view, and where a hand puts the box at last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fleetlabel.labels import edits as e
from fleetlabel.viewers.editor import corrections
from fleetlabel.viewers.editor.fitting import fitted_heading, fitted_place
from fleetlabel.viewers.editor.keys import Command
from fleetlabel.viewers.editor.object_commands import selected_id, selected_item
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.editor.workbench import Workbench

# Steps of keys over a pane: as it is, with Shift, with Alt.
_STEP_M, _COARSE_M, _FINE_M = 0.10, 0.50, 0.02
_TURN_RAD, _COARSE_RAD, _FINE_RAD = np.radians([1.0, 5.0, 0.2]).tolist()

_MOVES = {
    Command.PANE_UP: (0.0, -1.0),
    Command.PANE_DOWN: (0.0, 1.0),
    Command.PANE_LEFT: (-1.0, 0.0),
    Command.PANE_RIGHT: (1.0, 0.0),
}


def on_pane(bench: Workbench, command: Command, key: str) -> None:
    """Does what a key over a pane asks for."""
    s = bench.session
    panes = bench.panes()
    box = bench.shown_pose()
    if s.hovered is None or s.hovered not in panes or box is None:
        bench.say("There is no box to move: select an object that has one")
        return
    if command is Command.PANE_FLIP:
        if s.ghost is not None:
            put_ghost(bench, box.turned(np.pi))
        else:
            bench.next_action()
            bench.commit((e.FlipHeading(object_id=selected_id(bench)),), "heading the other way")
        return
    if command in (Command.PANE_FIT, Command.PANE_FIT_HEADING):
        points, ego = bench.cache.cloud(s.frame).world_m, bench.ego_xy(s.frame)
        fit = fitted_heading if command is Command.PANE_FIT_HEADING else fitted_place
        bench.next_action()
        put_box(bench, fit(box, points, ego), "fitted to the points")
        return
    coarse, fine = bench.held.shift, bench.held.alt
    if command in _MOVES:
        right, down = _MOVES[command]
        step = _COARSE_M if coarse else _FINE_M if fine else _STEP_M
        moved = panes[s.hovered].nudged(box, right, down, step)
    else:
        turn = _COARSE_RAD if coarse else _FINE_RAD if fine else _TURN_RAD
        moved = box.turned(turn if command is Command.PANE_TURN_LEFT else -turn)
    s.adjusted, s.nudging = moved, key
    bench.dirty |= {Panel.PANES}


def end_nudge(bench: Workbench) -> None:
    """The key that moved the box was let go: the box stays there."""
    s = bench.session
    s.nudging = ""
    if s.adjusted is not None:
        bench.next_action()
        put_box(bench, s.adjusted, "moved")


def put_box(bench: Workbench, box: BoxPose, what: str, resized: bool = False) -> None:
    """The selected object, or the ghost, is here at this frame."""
    s = bench.session
    if s.ghost is not None:
        put_ghost(bench, box)
        return
    item = selected_item(bench)
    s.adjusted = box
    edit = corrections.keyframe_edit(item.object_id, s.frame, box, resized)
    if not bench.commit((*corrections.reaching_edits(item, s.frame), edit), what):
        s.adjusted = None
        bench.dirty |= set(Panel)


def put_ghost(bench: Workbench, box: BoxPose) -> None:
    """The ghost is here: all of its frames move along."""
    s = bench.session
    assert s.ghost is not None
    bench.finish_ghost()
    old = s.ghost.poses[s.frame]
    step = old.local(np.array(box.center_m))
    turn = box.yaw_rad - old.yaw_rad
    poses = {
        frame: replace(pose.moved(step).turned(turn), size_lwh_m=box.size_lwh_m)
        for frame, pose in s.ghost.poses.items()
    }
    s.ghost, s.adjusted = replace(s.ghost, poses=poses), None
    bench.dirty |= set(Panel)
