"""Commands that edit the selected object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.labels import LabelObject
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import EditError
from fleetlabel.viewers.editor import corrections
from fleetlabel.viewers.editor.drawing import redraw_ghost
from fleetlabel.viewers.editor.session import Mode
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.palette import shown_class

if TYPE_CHECKING:
    from fleetlabel.viewers.editor.editor import Editor


def selected_id(editor: Editor) -> int:
    """Id of the selected object.

    Raises:
        EditError: nothing is selected.
    """
    s = editor.session
    if s.selected is None or editor.item is None:
        raise EditError("Select an object first: click it in any view or in the list")
    return s.selected


def selected_item(editor: Editor) -> LabelObject:
    """The selected object.

    Raises:
        EditError: nothing is selected.
    """
    selected_id(editor)
    item = editor.item
    assert item is not None
    return item


def toggle_keyframe(editor: Editor) -> None:
    """A keyframe where the box is on the screen, or none any more."""
    item, s = selected_item(editor), editor.session
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
    item, frame = selected_item(editor), editor.session.frame
    box = editor.shown_pose()
    if box is None:
        raise EditError("this object has no cuboid; enlarge a camera to edit its boxes there")
    reaching = corrections.reaching_edits(item, frame)
    editor.commit((*reaching, corrections.keyframe_edit(item.object_id, frame, box)), what)


def toggle_absent(editor: Editor) -> None:
    """The object is not there at this frame, or is again."""
    item, frame = selected_item(editor), editor.session.frame
    edits = corrections.absence_edits(item, frame)
    editor.commit(edits, f"{'there again' if edits[0].kind == 'clear_absent' else 'absent'} at frame {frame}")


def toggle_occluded(editor: Editor) -> None:
    """The object is occluded at this frame, or is not."""
    item, frame = selected_item(editor), editor.session.frame
    edits = corrections.occlusion_edits(item, editor.source.boxes(item.object_id).cuboids, frame)
    level = getattr(edits[0], "occlusion", 0)
    editor.commit(edits, f"{'occluded' if level else 'not occluded'} at frame {frame}")


def begin_here(editor: Editor) -> None:
    """The object begins at this frame, be that earlier or later than before."""
    _reach(editor, first=True)


def end_here(editor: Editor) -> None:
    """The object ends at this frame, be that earlier or later than before."""
    _reach(editor, first=False)


def _reach(editor: Editor, first: bool) -> None:
    """The object begins (ends) here: shorter by a trim, longer by a keyframe where it should be."""
    item, s = selected_item(editor), editor.session
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
    item = selected_item(editor)
    key = e.SetKeyframe2D(object_id=object_id, camera=camera, frame=s.frame, xyxy_px=(x1, y1, x2, y2))
    editor.commit((*corrections.reaching_edits(item, s.frame), key), what)


def split_here(editor: Editor) -> None:
    """From this frame on it is another object."""
    object_id, frame = selected_id(editor), editor.session.frame
    edit = e.Split(object_id=object_id, frame=frame, new_id=editor.source.new_id())
    editor.commit((edit,), f"split at frame {frame}")


def ask_for_other(editor: Editor) -> None:
    """The next object that is clicked is the same one."""
    selected_id(editor)
    editor.session.mode = Mode.MERGE
    editor.say("Click the object that is the same one, in any view or in the list; Esc gives up")


def merge_with(editor: Editor, other_id: int) -> None:
    """Joins the selected object and another one, or exchanges them, whichever it must be."""
    s = editor.session
    s.mode = Mode.SELECT
    edits, what = corrections.joining_edits(editor.source, selected_id(editor), other_id, s.frame)
    editor.commit(edits, what)


def accept_suggestion(editor: Editor) -> None:
    """The suggested object is the same one."""
    suggestion = editor.session.suggestion
    if suggestion is None:
        editor.say("There is no suggestion for this object")
        return
    edits = corrections.merging_edits(editor.source, suggestion.object_id, suggestion.other_id)
    editor.commit(edits, f"joined with {editor.name_of(suggestion.other_id)}")


def delete(editor: Editor) -> None:
    """There is no such object."""
    object_id = selected_id(editor)
    name = editor.name_of(object_id)
    editor.commit((e.DeleteObject(object_id=object_id),), f"{name} deleted")


def toggle_stationary(editor: Editor) -> None:
    """The object stands still, or may move again."""
    item = selected_item(editor)
    stands = item.stationary is not True
    edit = e.SetStationary(object_id=item.object_id, stationary=True if stands else None)
    editor.commit((edit,), "stands still: one pose" if stands else "may move again")


def set_class(editor: Editor, number: int) -> None:
    """The object, or the ghost, is of the class of a digit."""
    s = editor.session
    if not 1 <= number <= len(editor.digit_classes):
        return
    name = editor.digit_classes[number - 1]
    if s.ghost is not None:
        redraw_ghost(editor, name)
        return
    edit = e.SetClass(object_id=selected_id(editor), class_name=name)
    editor.next_action()
    editor.commit((edit,), f"class {shown_class(name).replace('_', ' ')}")


def toggle_lock(editor: Editor) -> None:
    """Nothing changes the object any more, or everything may again."""
    object_id, s = selected_id(editor), editor.session
    s.locked ^= {object_id}
    editor.say(
        f"{editor.name_of(object_id).capitalize()} is {'locked' if object_id in s.locked else 'unlocked'}"
    )
    editor.dirty |= {Panel.LIST, Panel.PANES}


def toggle_hidden(editor: Editor) -> None:
    """The object is not shown, or is again."""
    object_id, s = selected_id(editor), editor.session
    s.hidden ^= {object_id}
    editor.say(
        f"{editor.name_of(object_id).capitalize()} is {'hidden' if object_id in s.hidden else 'shown'}"
    )
    editor.dirty |= set(Panel)
