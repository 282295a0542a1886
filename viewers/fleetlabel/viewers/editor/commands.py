"""What every command does."""

from __future__ import annotations

from collections.abc import Callable

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
from fleetlabel.viewers.editor.workbench import Workbench
from fleetlabel.viewers.palette import ColorBy

# Commands that leave the last edit's marks on the screen.
_LOOKING = {
    *(Command.NEXT_FRAME, Command.PREVIOUS_FRAME, Command.FORWARD_10, Command.BACK_10, Command.HELP),
    *(Command.PLAY, Command.POINT_COLORS, Command.BOX_COLORS, Command.ACCUMULATE, Command.CAMERA),
}


def do(bench: Workbench, pressed: Pressed, key: str, repeat: bool) -> None:
    """Does what a key asks for."""
    command = pressed.command
    if command.value.startswith("pane_"):
        on_pane(bench, command, key)
        return
    if repeat and command not in _LOOKING:
        return
    if command is Command.CLASS:
        objects.set_class(bench, pressed.number)
        return
    if command is Command.CAMERA:
        enlarge(bench, pressed.number)
        return
    if command not in _LOOKING:
        bench.next_action()
    _COMMANDS[command](bench)


# --- going places ---------------------------------------------------------------------------------------------------


def play(bench: Workbench) -> None:
    """Plays, or pauses."""
    s = bench.session
    s.playing = not s.playing and s.frame + 1 < s.n_frames
    bench.dirty.add(Panel.HEADER)


def enlarge(bench: Workbench, number: int) -> None:
    """Enlarges a camera, or puts it back."""
    s = bench.session
    if not 1 <= number <= len(bench.cameras):
        bench.say(f"There is no camera {number}; there are {len(bench.cameras)}")
        return
    name = bench.cameras[number - 1]
    show_camera(bench, "" if s.enlarged == name else name)


def show_camera(bench: Workbench, name: str) -> None:
    """Puts a camera over the perspective view; "" none."""
    s = bench.session
    s.enlarged, s.adjusted2d, s.drag = name, None, None
    bench.dirty |= {Panel.MAIN, Panel.CAMERAS}


def _step(frames: int) -> Callable[[Workbench], None]:
    def go(bench: Workbench) -> None:
        bench.session.playing = False
        bench.go(bench.session.frame + frames)

    return go


def _keyframes(bench: Workbench) -> list[int]:
    item, s = bench.item, bench.session
    if item is None:
        return []
    if s.enlarged and item.keyframes(s.enlarged):
        return item.keyframes(s.enlarged)
    return sorted({frame for camera in item.cameras for frame in item.keyframes(camera)})


def _to_keyframe(direction: int) -> Callable[[Workbench], None]:
    def go(bench: Workbench) -> None:
        frame = bench.session.frame
        keys = _keyframes(bench)
        beyond = [k for k in keys if (k - frame) * direction > 0]
        if beyond:
            bench.go(min(beyond) if direction > 0 else max(beyond))
        else:
            way = "after" if direction > 0 else "before"
            bench.say(f"There is no keyframe {way} frame {frame}")

    return go


def _to_middle(bench: Workbench) -> None:
    item, s = bench.item, bench.session
    if item is None or s.selected is None:
        bench.say("Select an object first")
        return
    frames = bench.source.boxes(s.selected).cuboids.frame
    ends = sorted({*_keyframes(bench), *frames[:1].tolist(), *frames[-1:].tolist()})
    if not ends:
        return
    low = max([k for k in ends if k <= s.frame], default=ends[0])
    high = min([k for k in ends if k > s.frame], default=ends[-1])
    bench.go((low + high) // 2)


def _to_best(bench: Workbench) -> None:
    s = bench.session
    if s.selected is None or bench.item is None:
        bench.say("Select an object first")
        return
    frame = most_points_frame(bench.points, bench.source.boxes(s.selected).cuboids)
    if frame is not None:
        bench.go(frame)


# --- review ---------------------------------------------------------------------------------------------------------


def next_item(bench: Workbench) -> None:
    """Goes where a look is worth most, and says why."""
    s, source = bench.session, bench.source
    if s.ghost is not None:
        bench.drop_ghost()
    if not source.queue_ready:
        bench.say("The queue is still being worked out; a few seconds")
        return
    item = source.next_item()
    s.item = item
    if item is None:
        bench.say("The queue is empty: there is nothing left that is worth a look", Tone.GOOD)
        bench.dirty.add(Panel.LIST)
        return
    bench.select(item.object_id)
    bench.go(item.frame)
    show_camera(bench, item.camera if item.camera in bench.cameras else "")
    bench.recentre()
    bench.say(f"{bench.name_of(item.object_id).capitalize()}: {item.reason}")
    bench.dirty |= set(Panel)


def _enter(bench: Workbench) -> None:
    s = bench.session
    if s.clash is not None:
        bench.drop_clash(mine=True)
        return
    if s.ghost is not None:
        keep_ghost(bench)
        return
    object_id = selected_id(bench)
    if bench.commit((e.Accept(object_id=object_id),), "accepted", select=False):
        if bench.source.queue_ready:
            next_item(bench)
        elif (following := bench.listed().after(object_id)) is not None:
            bench.select(following)


def keep_ghost(bench: Workbench) -> None:
    """The ghost becomes an object."""
    bench.finish_ghost()
    ghost = bench.session.ghost
    assert ghost is not None
    if bench.commit(ghost.edits(bench.source.new_id()), f"new, in {len(ghost.poses)} frames"):
        bench.session.ghost = None
        bench.dirty |= set(Panel)


def _accept_to_keyframe(bench: Workbench) -> None:
    object_id, s = selected_id(bench), bench.session
    beyond = [k for k in _keyframes(bench) if k > s.frame]
    stop = (min(beyond) if beyond else s.n_frames - 1) + 1
    if bench.commit((e.Accept(object_id=object_id, start=s.frame, stop=stop),), f"accepted up to {stop - 1}"):
        bench.go(stop - 1)


def escalate(bench: Workbench, text: str) -> None:
    """Somebody else should look at the selected object, for this reason."""
    if text.strip():
        edit = e.Escalate(object_id=selected_id(bench), text=text.strip(), frame=bench.session.frame)
        bench.commit((edit,), "escalated")


def _ask_note(bench: Workbench) -> None:
    selected_id(bench)
    bench.asks_note = True


# --- showing --------------------------------------------------------------------------------------------------------


def cancel(bench: Workbench) -> None:
    """Back: out of whatever is on top."""
    s = bench.session
    if s.help_open:
        s.help_open = False
    elif s.clash is not None:
        bench.drop_clash(mine=False)
    elif s.drag is not None or s.adjusted is not None or s.adjusted2d is not None:
        s.drag, s.adjusted, s.adjusted2d, s.nudging = None, None, None, ""
    elif s.ghost is not None:
        bench.drop_ghost()
        bench.say("")
    elif s.mode is not Mode.SELECT:
        s.mode = Mode.SELECT
        bench.say("")
    elif s.enlarged:
        show_camera(bench, "")
    elif s.isolated:
        s.isolated = False
    elif s.selected is not None:
        bench.select(None)
    bench.dirty |= set(Panel)


def _help(bench: Workbench) -> None:
    bench.session.help_open = not bench.session.help_open
    bench.dirty.add(Panel.MAIN)


def _isolate(bench: Workbench) -> None:
    s = bench.session
    selected_id(bench)
    s.isolated = not s.isolated
    bench.recentre()
    bench.dirty |= set(Panel)


def _point_colors(bench: Workbench) -> None:
    s, kinds = bench.session, list(PointColors)
    s.point_colors = kinds[(kinds.index(s.point_colors) + 1) % len(kinds)]
    bench.say(f"Points are coloured by {s.point_colors.value}")
    bench.dirty.add(Panel.MAIN)


def _box_colors(bench: Workbench) -> None:
    s = bench.session
    s.box_colors = ColorBy.TRACK if s.box_colors is ColorBy.CLASS else ColorBy.CLASS
    bench.say(f"Boxes are coloured by {s.box_colors.value}")
    bench.dirty |= set(Panel)


def _accumulate(bench: Workbench) -> None:
    s = bench.session
    s.accumulated = not s.accumulated
    bench.say("Sweeps of neighbouring frames are shown as well" if s.accumulated else "One sweep is shown")
    bench.dirty |= {Panel.MAIN, Panel.PANES}


_COMMANDS: dict[Command, Callable[[Workbench], None]] = {
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
    Command.UNDO: lambda bench: bench.step_back(True),
    Command.REDO: lambda bench: bench.step_back(False),
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
