"""What every command does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.labels import LabelObject
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import EditError
from fleetlabel.viewers.editor import corrections
from fleetlabel.viewers.editor.drawing import draw_here, redraw_ghost
from fleetlabel.viewers.editor.fitting import fitted_heading, fitted_place
from fleetlabel.viewers.editor.keys import Command, Pressed
from fleetlabel.viewers.editor.object_strip import most_points_frame
from fleetlabel.viewers.editor.perspective import PointColors
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.session import Mode, Tone
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.palette import ColorBy, shown_class

if TYPE_CHECKING:
    from fleetlabel.viewers.editor.editor import Editor

LOCK = Command.LOCK
# Steps of keys over a pane: as it is, with Shift, with Alt.
_STEP_M, _COARSE_M, _FINE_M = 0.10, 0.50, 0.02
_TURN_RAD, _COARSE_RAD, _FINE_RAD = np.radians([1.0, 5.0, 0.2]).tolist()

# Commands that leave the last edit's marks on the screen.
_LOOKING = {
    *(Command.NEXT_FRAME, Command.PREVIOUS_FRAME, Command.FORWARD_10, Command.BACK_10, Command.HELP),
    *(Command.PLAY, Command.POINT_COLORS, Command.BOX_COLORS, Command.ACCUMULATE, Command.CAMERA),
}


def do(editor: Editor, pressed: Pressed, key: str, repeat: bool) -> None:
    """Does what a key asks for."""
    command = pressed.command
    if command.value.startswith("pane_"):
        _on_pane(editor, command, key)
        return
    if repeat and command not in _LOOKING:
        return
    if command is Command.CLASS:
        _set_class(editor, pressed.number)
        return
    if command is Command.CAMERA:
        enlarge(editor, pressed.number)
        return
    if command not in _LOOKING:
        editor.next_action()
    _COMMANDS[command](editor)


# --- going places ---------------------------------------------------------------------------------------------------


def play(editor: Editor) -> None:
    """Plays, or pauses."""
    s = editor.session
    s.playing = not s.playing and s.frame + 1 < s.n_frames
    editor.dirty.add(Panel.HEADER)


def enlarge(editor: Editor, number: int) -> None:
    """Enlarges a camera, or puts it back."""
    s = editor.session
    if not 1 <= number <= len(editor.cameras):
        editor.say(f"There is no camera {number}; there are {len(editor.cameras)}")
        return
    name = editor.cameras[number - 1]
    show_camera(editor, "" if s.enlarged == name else name)


def show_camera(editor: Editor, name: str) -> None:
    """Puts a camera over the perspective view; "" none."""
    s = editor.session
    s.enlarged, s.adjusted2d, s.drag = name, None, None
    editor.dirty |= {Panel.MAIN, Panel.CAMERAS}


def _step(frames: int) -> Callable[[Editor], None]:
    def go(editor: Editor) -> None:
        editor.session.playing = False
        editor.go(editor.session.frame + frames)

    return go


def _keyframes(editor: Editor) -> list[int]:
    item, s = editor.item, editor.session
    if item is None:
        return []
    if s.enlarged and item.keyframes(s.enlarged):
        return item.keyframes(s.enlarged)
    return sorted({frame for camera in item.cameras for frame in item.keyframes(camera)})


def _to_keyframe(direction: int) -> Callable[[Editor], None]:
    def go(editor: Editor) -> None:
        frame = editor.session.frame
        keys = _keyframes(editor)
        beyond = [k for k in keys if (k - frame) * direction > 0]
        if beyond:
            editor.go(min(beyond) if direction > 0 else max(beyond))
        else:
            way = "after" if direction > 0 else "before"
            editor.say(f"There is no keyframe {way} frame {frame}")

    return go


def _to_middle(editor: Editor) -> None:
    item, s = editor.item, editor.session
    if item is None or s.selected is None:
        editor.say("Select an object first")
        return
    frames = editor.source.boxes(s.selected).cuboids.frame
    ends = sorted({*_keyframes(editor), *frames[:1].tolist(), *frames[-1:].tolist()})
    if not ends:
        return
    low = max([k for k in ends if k <= s.frame], default=ends[0])
    high = min([k for k in ends if k > s.frame], default=ends[-1])
    editor.go((low + high) // 2)


def _to_best(editor: Editor) -> None:
    s = editor.session
    if s.selected is None or editor.item is None:
        editor.say("Select an object first")
        return
    frame = most_points_frame(editor.points, editor.source.boxes(s.selected).cuboids)
    if frame is not None:
        editor.go(frame)


# --- edits of the selected object -----------------------------------------------------------------------------------


def _selected(editor: Editor) -> int:
    s = editor.session
    if s.selected is None or editor.item is None:
        raise EditError("Select an object first: click it in any view or in the list")
    return s.selected


def _item(editor: Editor) -> LabelObject:
    _selected(editor)
    item = editor.item
    assert item is not None
    return item


def _toggle_keyframe(editor: Editor) -> None:
    item, s = _item(editor), editor.session
    camera = s.enlarged
    if camera and (box := editor.picture_box(camera)) is not None:
        if (camera, s.frame) in item.boxes:
            edit = e.UnsetKeyframe2D(object_id=item.object_id, camera=camera, frame=s.frame)
            editor.commit((edit,), f"no keyframe in {camera} any more")
        else:
            key = e.SetKeyframe2D(object_id=item.object_id, camera=camera, frame=s.frame, xyxy_px=box)
            editor.commit((key,), f"keyframe in {camera}")
        return
    if s.frame in item.poses:
        editor.commit((e.UnsetKeyframe3D(object_id=item.object_id, frame=s.frame),), "no keyframe any more")
        return
    _keyframe_here(editor, "keyframe")


def _keyframe_here(editor: Editor, what: str) -> None:
    item, frame = _item(editor), editor.session.frame
    box = editor.shown_pose()
    if box is None:
        raise EditError("this object has no cuboid; enlarge a camera to edit its boxes there")
    reaching = corrections.reaching_edits(item, frame)
    editor.commit((*reaching, corrections.keyframe_edit(item.object_id, frame, box)), what)


def _absent(editor: Editor) -> None:
    item, frame = _item(editor), editor.session.frame
    edits = corrections.absence_edits(item, frame)
    editor.commit(edits, f"{'there again' if edits[0].kind == 'clear_absent' else 'absent'} at frame {frame}")


def _occluded(editor: Editor) -> None:
    item, frame = _item(editor), editor.session.frame
    edits = corrections.occlusion_edits(item, editor.source.boxes(item.object_id).cuboids, frame)
    level = getattr(edits[0], "occlusion", 0)
    editor.commit(edits, f"{'occluded' if level else 'not occluded'} at frame {frame}")


def _begin(editor: Editor) -> None:
    _reach(editor, first=True)


def _end(editor: Editor) -> None:
    _reach(editor, first=False)


def _reach(editor: Editor, first: bool) -> None:
    """The object begins (ends) here: shorter by a trim, longer by a keyframe where it should be."""
    item, s = _item(editor), editor.session
    boxes = editor.source.boxes(item.object_id)
    views = [boxes.cuboids.frame, *(b.frame for b in boxes.pictures.values())]
    frames = np.unique(np.concatenate(views))
    word = "begins" if first else "ends"
    if not len(frames) or (s.frame > frames[-1] if first else s.frame < frames[0]):
        raise EditError(f"the object has no box {'after' if first else 'before'} frame {s.frame}")
    if frames[0] <= s.frame <= frames[-1]:
        edits = (
            corrections.begin_edits(item, s.frame)
            if first
            else corrections.end_edits(item, s.frame, s.n_frames)
        )
        editor.commit(edits, f"{word} at frame {s.frame}")
        return
    reaching = corrections.reaching_edits(item, s.frame)
    if reaching and s.frame in editor.source.now.after(reaching).boxes(item.object_id).cuboids.frame:
        editor.commit(reaching, f"{word} at frame {s.frame}")
    elif len(boxes.cuboids):
        _keyframe_here(editor, f"{word} at frame {s.frame}")
    else:
        _reach_in_picture(editor, item.object_id, f"{word} at frame {s.frame}")


def _reach_in_picture(editor: Editor, object_id: int, what: str) -> None:
    s = editor.session
    pictures = editor.source.boxes(object_id).pictures
    camera = s.enlarged if s.enlarged in pictures else next(iter(pictures))
    shown = pictures[camera]
    nearest = int(np.argmin(np.abs(shown.frame.astype(np.int64) - s.frame)))
    x1, y1, x2, y2 = shown.xyxy_px[nearest].tolist()
    item = _item(editor)
    key = e.SetKeyframe2D(object_id=object_id, camera=camera, frame=s.frame, xyxy_px=(x1, y1, x2, y2))
    editor.commit((*corrections.reaching_edits(item, s.frame), key), what)


def _split(editor: Editor) -> None:
    object_id, frame = _selected(editor), editor.session.frame
    edit = e.Split(object_id=object_id, frame=frame, new_id=editor.source.new_id())
    editor.commit((edit,), f"split at frame {frame}")


def _merge(editor: Editor) -> None:
    _selected(editor)
    editor.session.mode = Mode.MERGE
    editor.say("Click the object that is the same one, in any view or in the list; Esc gives up")


def merge_with(editor: Editor, other_id: int) -> None:
    """Joins the selected object and another one, or exchanges them, whichever it must be."""
    s = editor.session
    s.mode = Mode.SELECT
    edits, what = corrections.joining_edits(editor.source, _selected(editor), other_id, s.frame)
    editor.commit(edits, what)


def _accept_suggestion(editor: Editor) -> None:
    suggestion = editor.session.suggestion
    if suggestion is None:
        editor.say("There is no suggestion for this object")
        return
    edits = corrections.merging_edits(editor.source, suggestion.object_id, suggestion.other_id)
    editor.commit(edits, f"joined with {editor.name_of(suggestion.other_id)}")


def _delete(editor: Editor) -> None:
    object_id = _selected(editor)
    name = editor.name_of(object_id)
    editor.commit((e.DeleteObject(object_id=object_id),), f"{name} deleted")


def _stationary(editor: Editor) -> None:
    item = _item(editor)
    stands = item.stationary is not True
    edit = e.SetStationary(object_id=item.object_id, stationary=True if stands else None)
    editor.commit((edit,), "stands still: one pose" if stands else "may move again")


def _set_class(editor: Editor, number: int) -> None:
    s = editor.session
    if not 1 <= number <= len(editor.digit_classes):
        return
    name = editor.digit_classes[number - 1]
    if s.ghost is not None:
        redraw_ghost(editor, name)
        return
    edit = e.SetClass(object_id=_selected(editor), class_name=name)
    editor.next_action()
    editor.commit((edit,), f"class {shown_class(name).replace('_', ' ')}")


def _lock(editor: Editor) -> None:
    object_id, s = _selected(editor), editor.session
    s.locked ^= {object_id}
    editor.say(
        f"{editor.name_of(object_id).capitalize()} is {'locked' if object_id in s.locked else 'unlocked'}"
    )
    editor.dirty |= {Panel.LIST, Panel.PANES}


def _hide(editor: Editor) -> None:
    object_id, s = _selected(editor), editor.session
    s.hidden ^= {object_id}
    editor.say(
        f"{editor.name_of(object_id).capitalize()} is {'hidden' if object_id in s.hidden else 'shown'}"
    )
    editor.dirty |= set(Panel)


# --- keys over a pane -----------------------------------------------------------------------------------------------

_MOVES = {
    Command.PANE_UP: (0.0, -1.0),
    Command.PANE_DOWN: (0.0, 1.0),
    Command.PANE_LEFT: (-1.0, 0.0),
    Command.PANE_RIGHT: (1.0, 0.0),
}


def _on_pane(editor: Editor, command: Command, key: str) -> None:
    s = editor.session
    panes = editor.panes()
    box = editor.shown_pose()
    if s.hovered is None or s.hovered not in panes or box is None:
        editor.say("There is no box to move: select an object that has one")
        return
    if command is Command.PANE_FLIP:
        if s.ghost is not None:
            put_ghost(editor, box.turned(np.pi))
        else:
            editor.next_action()
            editor.commit((e.FlipHeading(object_id=_selected(editor)),), "heading the other way")
        return
    if command in (Command.PANE_FIT, Command.PANE_FIT_HEADING):
        points, ego = editor.cache.cloud(s.frame).world_m, editor.ego_xy(s.frame)
        fit = fitted_heading if command is Command.PANE_FIT_HEADING else fitted_place
        editor.next_action()
        put_box(editor, fit(box, points, ego), "fitted to the points")
        return
    coarse, fine = editor.held.shift, editor.held.alt
    if command in _MOVES:
        right, down = _MOVES[command]
        step = _COARSE_M if coarse else _FINE_M if fine else _STEP_M
        moved = panes[s.hovered].nudged(box, right, down, step)
    else:
        turn = _COARSE_RAD if coarse else _FINE_RAD if fine else _TURN_RAD
        moved = box.turned(turn if command is Command.PANE_TURN_LEFT else -turn)
    s.adjusted, s.nudging = moved, key
    editor.dirty |= {Panel.PANES}


def end_nudge(editor: Editor) -> None:
    """The key that moved the box was let go: the box stays there."""
    s = editor.session
    s.nudging = ""
    if s.adjusted is not None:
        editor.next_action()
        put_box(editor, s.adjusted, "moved")


def put_box(editor: Editor, box: BoxPose, what: str, resized: bool = False) -> None:
    """The selected object, or the ghost, is here at this frame."""
    s = editor.session
    if s.ghost is not None:
        put_ghost(editor, box)
        return
    item = _item(editor)
    s.adjusted = box
    edit = corrections.keyframe_edit(item.object_id, s.frame, box, resized)
    if not editor.commit((*corrections.reaching_edits(item, s.frame), edit), what):
        s.adjusted = None
        editor.dirty |= set(Panel)


def put_ghost(editor: Editor, box: BoxPose) -> None:
    """The ghost is here: all of its frames move along."""
    s = editor.session
    assert s.ghost is not None
    editor.finish_ghost()
    old = s.ghost.poses[s.frame]
    step = old.local(np.array(box.center_m))
    turn = box.yaw_rad - old.yaw_rad
    poses = {
        frame: replace(pose.moved(step).turned(turn), size_lwh_m=box.size_lwh_m)
        for frame, pose in s.ghost.poses.items()
    }
    s.ghost, s.adjusted = replace(s.ghost, poses=poses), None
    editor.dirty |= set(Panel)


# --- review ---------------------------------------------------------------------------------------------------------


def next_item(editor: Editor) -> None:
    """Goes where a look is worth most, and says why."""
    s, source = editor.session, editor.source
    if s.ghost is not None:
        editor.drop_ghost()
    if not source.queue_ready:
        editor.say("The queue is still being worked out; a few seconds")
        return
    item = source.next_item()
    s.item = item
    if item is None:
        editor.say("The queue is empty: there is nothing left that is worth a look", Tone.GOOD)
        editor.dirty.add(Panel.LIST)
        return
    editor.select(item.object_id)
    editor.go(item.frame)
    show_camera(editor, item.camera if item.camera in editor.cameras else "")
    editor.recentre()
    editor.say(f"{editor.name_of(item.object_id).capitalize()}: {item.reason}")
    editor.dirty |= set(Panel)


def _enter(editor: Editor) -> None:
    s = editor.session
    if s.clash is not None:
        editor.drop_clash(mine=True)
        return
    if s.ghost is not None:
        keep_ghost(editor)
        return
    object_id = _selected(editor)
    if editor.commit((e.Accept(object_id=object_id),), "accepted", select=False):
        if editor.source.queue_ready:
            next_item(editor)
        elif (following := editor.listed().after(object_id)) is not None:
            editor.select(following)


def keep_ghost(editor: Editor) -> None:
    """The ghost becomes an object."""
    editor.finish_ghost()
    ghost = editor.session.ghost
    assert ghost is not None
    if editor.commit(ghost.edits(editor.source.new_id()), f"new, in {len(ghost.poses)} frames"):
        editor.session.ghost = None
        editor.dirty |= set(Panel)


def _accept_to_keyframe(editor: Editor) -> None:
    object_id, s = _selected(editor), editor.session
    beyond = [k for k in _keyframes(editor) if k > s.frame]
    stop = (min(beyond) if beyond else s.n_frames - 1) + 1
    if editor.commit(
        (e.Accept(object_id=object_id, start=s.frame, stop=stop),), f"accepted up to {stop - 1}"
    ):
        editor.go(stop - 1)


def escalate(editor: Editor, text: str) -> None:
    """Somebody else should look at the selected object, for this reason."""
    if text.strip():
        edit = e.Escalate(object_id=_selected(editor), text=text.strip(), frame=editor.session.frame)
        editor.commit((edit,), "escalated")


def _ask_note(editor: Editor) -> None:
    _selected(editor)
    editor.asks_note = True


# --- showing --------------------------------------------------------------------------------------------------------


def cancel(editor: Editor) -> None:
    """Back: out of whatever is on top."""
    s = editor.session
    if s.help_open:
        s.help_open = False
    elif s.clash is not None:
        editor.drop_clash(mine=False)
    elif s.drag is not None or s.adjusted is not None or s.adjusted2d is not None:
        s.drag, s.adjusted, s.adjusted2d, s.nudging = None, None, None, ""
    elif s.ghost is not None:
        editor.drop_ghost()
        editor.say("")
    elif s.mode is not Mode.SELECT:
        s.mode = Mode.SELECT
        editor.say("")
    elif s.enlarged:
        show_camera(editor, "")
    elif s.isolated:
        s.isolated = False
    elif s.selected is not None:
        editor.select(None)
    editor.dirty |= set(Panel)


def _help(editor: Editor) -> None:
    editor.session.help_open = not editor.session.help_open
    editor.dirty.add(Panel.MAIN)


def _isolate(editor: Editor) -> None:
    s = editor.session
    _selected(editor)
    s.isolated = not s.isolated
    editor.recentre()
    editor.dirty |= set(Panel)


def _point_colors(editor: Editor) -> None:
    s, kinds = editor.session, list(PointColors)
    s.point_colors = kinds[(kinds.index(s.point_colors) + 1) % len(kinds)]
    editor.say(f"Points are coloured by {s.point_colors.value}")
    editor.dirty.add(Panel.MAIN)


def _box_colors(editor: Editor) -> None:
    s = editor.session
    s.box_colors = ColorBy.TRACK if s.box_colors is ColorBy.CLASS else ColorBy.CLASS
    editor.say(f"Boxes are coloured by {s.box_colors.value}")
    editor.dirty |= set(Panel)


def _accumulate(editor: Editor) -> None:
    s = editor.session
    s.accumulated = not s.accumulated
    editor.say("Sweeps of neighbouring frames are shown as well" if s.accumulated else "One sweep is shown")
    editor.dirty |= {Panel.MAIN, Panel.PANES}


_COMMANDS: dict[Command, Callable[[Editor], None]] = {
    Command.NEXT_FRAME: _step(1),
    Command.PREVIOUS_FRAME: _step(-1),
    Command.FORWARD_10: _step(10),
    Command.BACK_10: _step(-10),
    Command.PLAY: play,
    Command.NEXT_KEYFRAME: _to_keyframe(1),
    Command.PREVIOUS_KEYFRAME: _to_keyframe(-1),
    Command.MIDDLE: _to_middle,
    Command.DRAW: draw_here,
    Command.NEXT_ITEM: next_item,
    Command.KEYFRAME: _toggle_keyframe,
    Command.ABSENT: _absent,
    Command.OCCLUDED: _occluded,
    Command.DELETE: _delete,
    Command.HIDE: _hide,
    Command.LOCK: _lock,
    Command.MERGE: _merge,
    Command.SPLIT: _split,
    Command.UNDO: lambda editor: editor.step_back(True),
    Command.REDO: lambda editor: editor.step_back(False),
    Command.TRIM_START: _begin,
    Command.TRIM_END: _end,
    Command.STATIONARY: _stationary,
    Command.BEST_FRAME: _to_best,
    Command.ISOLATE: _isolate,
    Command.ACCEPT_SUGGESTION: _accept_suggestion,
    Command.ESCALATE: _ask_note,
    Command.ACCEPT: _enter,
    Command.ACCEPT_TO_KEYFRAME: _accept_to_keyframe,
    Command.HELP: _help,
    Command.CANCEL: cancel,
    Command.POINT_COLORS: _point_colors,
    Command.BOX_COLORS: _box_colors,
    Command.ACCUMULATE: _accumulate,
}
