"""What every command does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleetlabel.labels import edits as e
from fleetlabel.viewers.editor import object_commands as objects
from fleetlabel.viewers.editor.drawing import draw_here
from fleetlabel.viewers.editor.keys import Command, Pressed
from fleetlabel.viewers.editor.object_commands import selected_id
from fleetlabel.viewers.editor.object_strip import most_points_frame
from fleetlabel.viewers.editor.pane_commands import on_pane
from fleetlabel.viewers.editor.perspective import PointColors
from fleetlabel.viewers.editor.session import Mode, Tone
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.palette import ColorBy

if TYPE_CHECKING:
    from fleetlabel.viewers.editor.editor import Editor

# Commands that leave the last edit's marks on the screen.
_LOOKING = {
    *(Command.NEXT_FRAME, Command.PREVIOUS_FRAME, Command.FORWARD_10, Command.BACK_10, Command.HELP),
    *(Command.PLAY, Command.POINT_COLORS, Command.BOX_COLORS, Command.ACCUMULATE, Command.CAMERA),
}


def do(editor: Editor, pressed: Pressed, key: str, repeat: bool) -> None:
    """Does what a key asks for."""
    command = pressed.command
    if command.value.startswith("pane_"):
        on_pane(editor, command, key)
        return
    if repeat and command not in _LOOKING:
        return
    if command is Command.CLASS:
        objects.set_class(editor, pressed.number)
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
    object_id = selected_id(editor)
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
    object_id, s = selected_id(editor), editor.session
    beyond = [k for k in _keyframes(editor) if k > s.frame]
    stop = (min(beyond) if beyond else s.n_frames - 1) + 1
    if editor.commit(
        (e.Accept(object_id=object_id, start=s.frame, stop=stop),), f"accepted up to {stop - 1}"
    ):
        editor.go(stop - 1)


def escalate(editor: Editor, text: str) -> None:
    """Somebody else should look at the selected object, for this reason."""
    if text.strip():
        edit = e.Escalate(object_id=selected_id(editor), text=text.strip(), frame=editor.session.frame)
        editor.commit((edit,), "escalated")


def _ask_note(editor: Editor) -> None:
    selected_id(editor)
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
    selected_id(editor)
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
    Command.KEYFRAME: objects.toggle_keyframe,
    Command.ABSENT: objects.toggle_absent,
    Command.OCCLUDED: objects.toggle_occluded,
    Command.DELETE: objects.delete,
    Command.HIDE: objects.toggle_hidden,
    Command.LOCK: objects.toggle_lock,
    Command.MERGE: objects.ask_for_other,
    Command.SPLIT: objects.split_here,
    Command.UNDO: lambda editor: editor.step_back(True),
    Command.REDO: lambda editor: editor.step_back(False),
    Command.TRIM_START: objects.begin_here,
    Command.TRIM_END: objects.end_here,
    Command.STATIONARY: objects.toggle_stationary,
    Command.BEST_FRAME: _to_best,
    Command.ISOLATE: _isolate,
    Command.ACCEPT_SUGGESTION: objects.accept_suggestion,
    Command.ESCALATE: _ask_note,
    Command.ACCEPT: _enter,
    Command.ACCEPT_TO_KEYFRAME: _accept_to_keyframe,
    Command.HELP: _help,
    Command.CANCEL: cancel,
    Command.POINT_COLORS: _point_colors,
    Command.BOX_COLORS: _box_colors,
    Command.ACCUMULATE: _accumulate,
}
