"""Commands that edit the selected object."""

from __future__ import annotations

import numpy as np

from fleetlabel.labels import LabelObject
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import EditError
from fleetlabel.viewers.editor import corrections
from fleetlabel.viewers.editor.drawing import redraw_ghost
from fleetlabel.viewers.editor.session import Mode
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.editor.workbench import Workbench
from fleetlabel.viewers.palette import shown_class


def selected_id(bench: Workbench) -> int:
    """Id of the selected object.

    Raises:
        EditError: nothing is selected.
    """
    s = bench.session
    if s.selected is None or bench.item is None:
        raise EditError("Select an object first: click it in any view or in the list")
    return s.selected


def selected_item(bench: Workbench) -> LabelObject:
    """The selected object.

    Raises:
        EditError: nothing is selected.
    """
    selected_id(bench)
    item = bench.item
    assert item is not None
    return item


def toggle_keyframe(bench: Workbench) -> None:
    """A keyframe where the box is on the screen, or none any more."""
    item, s = selected_item(bench), bench.session
    camera = s.enlarged
    if camera and (box := bench.picture_box(camera)) is not None:
        if (camera, s.frame) in item.boxes:
            edit = e.UnsetKeyframe2D(object_id=item.object_id, camera=camera, frame=s.frame)
            bench.commit((edit,), f"no keyframe in {camera} any more")
        else:
            key = e.SetKeyframe2D(object_id=item.object_id, camera=camera, frame=s.frame, xyxy_px=box)
            bench.commit((key,), f"keyframe in {camera}")
        return
    if s.frame in item.poses:
        bench.commit((e.UnsetKeyframe3D(object_id=item.object_id, frame=s.frame),), "no keyframe any more")
        return
    _keyframe_here(bench, "keyframe")


def _keyframe_here(bench: Workbench, what: str) -> None:
    item, frame = selected_item(bench), bench.session.frame
    box = bench.shown_pose()
    if box is None:
        raise EditError("this object has no cuboid; enlarge a camera to edit its boxes there")
    reaching = corrections.reaching_edits(item, frame)
    bench.commit((*reaching, corrections.keyframe_edit(item.object_id, frame, box)), what)


def toggle_absent(bench: Workbench) -> None:
    """The object is not there at this frame, or is again."""
    item, frame = selected_item(bench), bench.session.frame
    edits = corrections.absence_edits(item, frame)
    bench.commit(edits, f"{'there again' if edits[0].kind == 'clear_absent' else 'absent'} at frame {frame}")


def toggle_occluded(bench: Workbench) -> None:
    """The object is occluded at this frame, or is not."""
    item, frame = selected_item(bench), bench.session.frame
    edits = corrections.occlusion_edits(item, bench.source.boxes(item.object_id).cuboids, frame)
    level = getattr(edits[0], "occlusion", 0)
    bench.commit(edits, f"{'occluded' if level else 'not occluded'} at frame {frame}")


def begin_here(bench: Workbench) -> None:
    """The object begins at this frame, be that earlier or later than before."""
    _reach(bench, first=True)


def end_here(bench: Workbench) -> None:
    """The object ends at this frame, be that earlier or later than before."""
    _reach(bench, first=False)


def _reach(bench: Workbench, first: bool) -> None:
    """The object begins (ends) here: shorter by a trim, longer by a keyframe where it should be."""
    item, s = selected_item(bench), bench.session
    boxes = bench.source.boxes(item.object_id)
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
        bench.commit(edits, f"{word} at frame {s.frame}")
        return
    reaching = corrections.reaching_edits(item, s.frame)
    if reaching and s.frame in bench.source.now.after(reaching).boxes(item.object_id).cuboids.frame:
        bench.commit(reaching, f"{word} at frame {s.frame}")
    elif len(boxes.cuboids):
        _keyframe_here(bench, f"{word} at frame {s.frame}")
    else:
        _reach_in_picture(bench, item.object_id, f"{word} at frame {s.frame}")


def _reach_in_picture(bench: Workbench, object_id: int, what: str) -> None:
    s = bench.session
    pictures = bench.source.boxes(object_id).pictures
    camera = s.enlarged if s.enlarged in pictures else next(iter(pictures))
    shown = pictures[camera]
    nearest = int(np.argmin(np.abs(shown.frame.astype(np.int64) - s.frame)))
    x1, y1, x2, y2 = shown.xyxy_px[nearest].tolist()
    item = selected_item(bench)
    key = e.SetKeyframe2D(object_id=object_id, camera=camera, frame=s.frame, xyxy_px=(x1, y1, x2, y2))
    bench.commit((*corrections.reaching_edits(item, s.frame), key), what)


def split_here(bench: Workbench) -> None:
    """From this frame on it is another object."""
    object_id, frame = selected_id(bench), bench.session.frame
    edit = e.Split(object_id=object_id, frame=frame, new_id=bench.source.new_id())
    bench.commit((edit,), f"split at frame {frame}")


def ask_for_other(bench: Workbench) -> None:
    """The next object that is clicked is the same one."""
    selected_id(bench)
    bench.session.mode = Mode.MERGE
    bench.say("Click the object that is the same one, in any view or in the list; Esc gives up")


def merge_with(bench: Workbench, other_id: int) -> None:
    """Joins the selected object and another one, or exchanges them, whichever it must be."""
    s = bench.session
    s.mode = Mode.SELECT
    edits, what = corrections.joining_edits(bench.source, selected_id(bench), other_id, s.frame)
    bench.commit(edits, what)


def accept_suggestion(bench: Workbench) -> None:
    """The suggested object is the same one."""
    suggestion = bench.session.suggestion
    if suggestion is None:
        bench.say("There is no suggestion for this object")
        return
    edits = corrections.merging_edits(bench.source, suggestion.object_id, suggestion.other_id)
    bench.commit(edits, f"joined with {bench.name_of(suggestion.other_id)}")


def delete(bench: Workbench) -> None:
    """There is no such object."""
    object_id = selected_id(bench)
    name = bench.name_of(object_id)
    bench.commit((e.DeleteObject(object_id=object_id),), f"{name} deleted")


def toggle_stationary(bench: Workbench) -> None:
    """The object stands still, or may move again."""
    item = selected_item(bench)
    stands = item.stationary is not True
    edit = e.SetStationary(object_id=item.object_id, stationary=True if stands else None)
    bench.commit((edit,), "stands still: one pose" if stands else "may move again")


def set_class(bench: Workbench, number: int) -> None:
    """The object, or the ghost, is of the class of a digit."""
    s = bench.session
    if not 1 <= number <= len(bench.digit_classes):
        return
    name = bench.digit_classes[number - 1]
    if s.ghost is not None:
        redraw_ghost(bench, name)
        return
    edit = e.SetClass(object_id=selected_id(bench), class_name=name)
    bench.next_action()
    bench.commit((edit,), f"class {shown_class(name).replace('_', ' ')}")


def toggle_lock(bench: Workbench) -> None:
    """Nothing changes the object any more, or everything may again."""
    object_id, s = selected_id(bench), bench.session
    s.locked ^= {object_id}
    bench.say(
        f"{bench.name_of(object_id).capitalize()} is {'locked' if object_id in s.locked else 'unlocked'}"
    )
    bench.dirty |= {Panel.LIST, Panel.PANES}


def toggle_hidden(bench: Workbench) -> None:
    """The object is not shown, or is again."""
    object_id, s = selected_id(bench), bench.session
    s.hidden ^= {object_id}
    bench.say(f"{bench.name_of(object_id).capitalize()} is {'hidden' if object_id in s.hidden else 'shown'}")
    bench.dirty |= set(Panel)
