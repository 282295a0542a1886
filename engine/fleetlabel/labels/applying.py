"""``apply``: what an edit makes of labels, and what takes it back. Pure functions: no file, no clock, no solver."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fleetlabel.labels import edits as e
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.identities import cut, is_empty, join, sorted_notes
from fleetlabel.labels.objects import FIRST_BORN_ID, Flag, LabelObject, Note, PictureBox, Pose
from fleetlabel.labels.spans import Spans
from fleetlabel.labels.state import LabelState
from fleetlabel.model.errors import EditError

Images = Mapping[int, LabelObject | None]


def apply(state: LabelState, edit: Edit) -> tuple[LabelState, e.Restore]:
    """The labels after an edit, and the edit that takes it back.

    Raises:
        EditError: it cannot be done to these labels; says why and where.
    """
    images = _RULES[type(edit)](state, edit)
    before = tuple((object_id, state.get(object_id)) for object_id in images)
    return state.with_objects(images), e.Restore(object_id=before[0][0], images=before)


def apply_all(state: LabelState, edits: Sequence[Edit]) -> LabelState:
    """The labels after edits, one after the other.

    Raises:
        EditError: one of them cannot be done; says which.
    """
    for number, edit in enumerate(edits):
        try:
            state, _ = apply(state, edit)
        except EditError as error:
            if len(edits) == 1:
                raise
            raise EditError(f"edit {number + 1} of {len(edits)}: {error}") from error
    return state


# --- existence and identity -----------------------------------------------------------------------------------------


def _create(state: LabelState, edit: e.CreateObject) -> Images:
    _check_born(state, edit.object_id)
    _check_class(state, edit.class_name)
    whole = Spans(((0, state.base.n_frames, edit.class_name),))
    return {edit.object_id: LabelObject(edit.object_id, classes=whole)}


def _delete(state: LabelState, edit: e.DeleteObject) -> Images:
    return {state[edit.object_id].object_id: None}


def _split(state: LabelState, edit: e.Split) -> Images:
    _check_born(state, edit.new_id)
    _check_camera(state, edit.camera)
    before, after = cut(state[edit.object_id], _frame(state, edit.frame), edit.camera, edit.new_id)
    for half, where in ((before, "before"), (after, "from")):
        if is_empty(state, half):
            what = f"box in {edit.camera}" if edit.camera and half is after else "box"
            raise EditError(
                f"object {edit.object_id} has no {what} {where} frame {edit.frame}; split it between its boxes"
            )
    return {edit.object_id: before, edit.new_id: after}


def _merge(state: LabelState, edit: e.Merge) -> Images:
    kept, ended = _two(state, edit.object_id, edit.other_id)
    return {edit.object_id: join(state, kept, ended), edit.other_id: None}


def _change_identity(state: LabelState, edit: e.ChangeIdentity) -> Images:
    _check_camera(state, edit.camera)
    item, other = _two(state, edit.object_id, edit.other_id)
    before, after = cut(item, _frame(state, edit.frame), edit.camera, edit.object_id)
    if is_empty(state, after):
        where = f" in {edit.camera}" if edit.camera else ""
        raise EditError(f"object {edit.object_id} has no box{where} from frame {edit.frame} on")
    left = None if is_empty(state, before) else before
    return {edit.object_id: left, edit.other_id: join(state, other, after)}


def _swap_identities(state: LabelState, edit: e.SwapIdentities) -> Images:
    one, two = _two(state, edit.object_id, edit.other_id)
    frame = _frame(state, edit.frame)
    one_before, one_after = cut(one, frame, "", one.object_id)
    two_before, two_after = cut(two, frame, "", two.object_id)
    if is_empty(state, one_after) and is_empty(state, two_after):
        raise EditError(f"objects {one.object_id} and {two.object_id} have no box from frame {frame} on")
    images = {
        one.object_id: join(state, one_before, two_after),
        two.object_id: join(state, two_before, one_after),
    }
    return {object_id: None if is_empty(state, item) else item for object_id, item in images.items()}


def _restore(state: LabelState, edit: e.Restore) -> Images:
    for object_id, image in edit.images:
        if image is None:
            continue
        frames = [*image.poses, *(frame for _, frame in image.boxes)]
        cameras = {camera for _, camera in image.flags} | set(image.cameras)
        tracks = [s for s in image.segments if s.camera not in state.base.cameras_of(s.track_id)]
        if image.object_id != object_id or tracks or not cameras <= {"", *state.base.cameras}:
            raise EditError(f"object {object_id} cannot be restored: it is not of this label version")
        if frames and not 0 <= min(frames) <= max(frames) < state.base.n_frames:
            raise EditError(f"object {object_id} cannot be restored: it has keyframes outside the sequence")
    return dict(edit.images)


# --- keyframes and extent -------------------------------------------------------------------------------------------


def _set_keyframe_3d(state: LabelState, edit: e.SetKeyframe3D) -> Images:
    item = state[edit.object_id]
    _check_present(state, item, edit.frame, "")
    pose = Pose(edit.center_m, edit.yaw_rad)
    size = item.size_lwh_m if edit.size_lwh_m is None else edit.size_lwh_m
    return _changed(item, poses={**item.poses, edit.frame: pose}, size_lwh_m=size)


def _unset_keyframe_3d(state: LabelState, edit: e.UnsetKeyframe3D) -> Images:
    item = state[edit.object_id]
    if edit.frame not in item.poses:
        raise EditError(
            f"object {item.object_id} has no cuboid keyframe at frame {edit.frame}; it has {sorted(item.poses)}"
        )
    return _changed(item, poses={frame: pose for frame, pose in item.poses.items() if frame != edit.frame})


def _set_keyframe_2d(state: LabelState, edit: e.SetKeyframe2D) -> Images:
    _check_camera(state, edit.camera)
    item = state[edit.object_id]
    _check_present(state, item, edit.frame, edit.camera)
    box = PictureBox(edit.xyxy_px, edit.amodal_xyxy_px)
    return _changed(item, boxes={**item.boxes, (edit.camera, edit.frame): box})


def _unset_keyframe_2d(state: LabelState, edit: e.UnsetKeyframe2D) -> Images:
    item = state[edit.object_id]
    key = (edit.camera, edit.frame)
    if key not in item.boxes:
        raise EditError(
            f"object {item.object_id} has no keyframe in {edit.camera} at frame {edit.frame}; it has "
            f"{item.keyframes(edit.camera)}"
        )
    return _changed(item, boxes={at: box for at, box in item.boxes.items() if at != key})


def _set_absent(state: LabelState, edit: e.SetAbsent) -> Images:
    _check_camera(state, edit.camera)
    item = state[edit.object_id]
    start, stop = _range(state, edit)
    cameras = [edit.camera] if edit.camera else ["", *state.base.cameras]
    _refuse_keyframes(item, cameras, range(start, stop), f"be absent from frames {start}..{stop - 1}")
    return _flagged(item, Flag.ABSENT, edit.camera, start, stop, True)


def _clear_absent(state: LabelState, edit: e.ClearAbsent) -> Images:
    _check_camera(state, edit.camera)
    return _flagged(state[edit.object_id], Flag.ABSENT, edit.camera, *_range(state, edit), None)


def _trim_start(state: LabelState, edit: e.TrimStart) -> Images:
    item = state[edit.object_id]
    if edit.frame is None:
        return _changed(item, start=None)
    frame = _frame(state, edit.frame)
    if item.stop is not None and frame >= item.stop:
        raise EditError(f"object {item.object_id} cannot start at frame {frame}: it ends at {item.stop - 1}")
    cameras = ["", *state.base.cameras]
    _refuse_keyframes(item, cameras, range(frame), f"start at frame {frame}")
    return _changed(item, start=frame)


def _trim_end(state: LabelState, edit: e.TrimEnd) -> Images:
    item = state[edit.object_id]
    if edit.frame is None:
        return _changed(item, stop=None)
    frame = _frame(state, edit.frame)
    if item.start is not None and frame < item.start:
        raise EditError(f"object {item.object_id} cannot end at frame {frame}: it starts at {item.start}")
    cameras = ["", *state.base.cameras]
    _refuse_keyframes(item, cameras, range(frame + 1, state.base.n_frames), f"end at frame {frame}")
    return _changed(item, stop=frame + 1)


# --- what it is -----------------------------------------------------------------------------------------------------


def _set_class(state: LabelState, edit: e.SetClass) -> Images:
    _check_class(state, edit.class_name)
    item = state[edit.object_id]
    return _changed(item, classes=item.classes.assign(*_range(state, edit), edit.class_name))


def _set_attribute(state: LabelState, edit: e.SetAttribute) -> Images:
    item = state[edit.object_id]
    spans = item.attributes.get(edit.name, Spans()).assign(*_range(state, edit), edit.value)
    others = {name: value for name, value in item.attributes.items() if name != edit.name}
    return _changed(item, attributes=others | ({edit.name: spans} if spans else {}))


def _set_flags(state: LabelState, edit: e.SetFlags) -> Images:
    _check_camera(state, edit.camera)
    item = state[edit.object_id]
    start, stop = _range(state, edit)
    said = {Flag.OCCLUSION: edit.occlusion, Flag.TRUNCATION: edit.truncation, Flag.IGNORE: edit.ignore}
    flags = dict(item.flags)
    for flag, value in said.items():
        if value is not None:
            flags[flag, edit.camera] = flags.get((flag, edit.camera), Spans()).assign(start, stop, value)
    return _changed(item, flags=flags)


def _resize(state: LabelState, edit: e.Resize) -> Images:
    return _changed(state[edit.object_id], size_lwh_m=edit.size_lwh_m)


def _flip_heading(state: LabelState, edit: e.FlipHeading) -> Images:
    item = state[edit.object_id]
    turned = {
        frame: replace(pose, yaw_rad=pose.yaw_rad + math.copysign(math.pi, -pose.yaw_rad))
        for frame, pose in item.poses.items()
    }
    return _changed(item, poses=turned, flipped=not item.flipped)


def _set_stationary(state: LabelState, edit: e.SetStationary) -> Images:
    return _changed(state[edit.object_id], stationary=edit.stationary)


# --- what people think of it ----------------------------------------------------------------------------------------


def _accept(state: LabelState, edit: e.Accept) -> Images:
    item = state[edit.object_id]
    return _changed(
        item, accepted=item.accepted.assign(*_range(state, edit), True if edit.accepted else None)
    )


def _escalate(state: LabelState, edit: e.Escalate) -> Images:
    item = state[edit.object_id]
    if edit.frame is not None:
        _frame(state, edit.frame)
    return _changed(item, notes=sorted_notes({*item.notes, Note(edit.text, edit.frame)}))


def _settle(state: LabelState, edit: e.Settle) -> Images:
    item = state[edit.object_id]
    note = Note(edit.text, edit.frame)
    if note not in item.notes:
        raise EditError(
            f"object {item.object_id} has no open note {edit.text!r}"
            f"{'' if edit.frame is None else f' at frame {edit.frame}'}; it has {[n.text for n in item.notes]}"
        )
    return _changed(item, notes=tuple(other for other in item.notes if other != note))


_RULES: dict[type[Edit], Callable[[LabelState, Any], Images]] = {
    e.CreateObject: _create,
    e.DeleteObject: _delete,
    e.SetKeyframe3D: _set_keyframe_3d,
    e.UnsetKeyframe3D: _unset_keyframe_3d,
    e.SetKeyframe2D: _set_keyframe_2d,
    e.UnsetKeyframe2D: _unset_keyframe_2d,
    e.SetAbsent: _set_absent,
    e.ClearAbsent: _clear_absent,
    e.TrimStart: _trim_start,
    e.TrimEnd: _trim_end,
    e.Split: _split,
    e.Merge: _merge,
    e.ChangeIdentity: _change_identity,
    e.SwapIdentities: _swap_identities,
    e.SetClass: _set_class,
    e.SetAttribute: _set_attribute,
    e.SetFlags: _set_flags,
    e.Resize: _resize,
    e.FlipHeading: _flip_heading,
    e.SetStationary: _set_stationary,
    e.Accept: _accept,
    e.Escalate: _escalate,
    e.Settle: _settle,
    e.Restore: _restore,
}


# --- what rules share -----------------------------------------------------------------------------------------------


def _changed(item: LabelObject, **changes: Any) -> Images:
    return {item.object_id: replace(item, **changes)}


def _flagged(item: LabelObject, flag: Flag, camera: str, start: int, stop: int, value: bool | None) -> Images:
    spans = item.flags.get((flag, camera), Spans()).assign(start, stop, value)
    others = {key: other for key, other in item.flags.items() if key != (flag, camera)}
    return _changed(item, flags=others | ({(flag, camera): spans} if spans else {}))


def _two(state: LabelState, object_id: int, other_id: int) -> tuple[LabelObject, LabelObject]:
    if object_id == other_id:
        raise EditError(f"object {object_id} is one object already; name two")
    return state[object_id], state[other_id]


def _frame(state: LabelState, frame: int) -> int:
    if not 0 <= frame < state.base.n_frames:
        raise EditError(f"there is no frame {frame}; the sequence has frames 0..{state.base.n_frames - 1}")
    return frame


def _range(state: LabelState, edit: Any) -> tuple[int, int]:
    n = state.base.n_frames
    start, stop = 0 if edit.start is None else edit.start, n if edit.stop is None else edit.stop
    if not 0 <= start < stop <= n:
        raise EditError(f"frames {start}:{stop} are no range of the sequence's frames 0:{n}")
    return start, stop


def _check_camera(state: LabelState, camera: str) -> None:
    if camera and camera not in state.base.cameras:
        raise EditError(f"there is no camera {camera!r}; the sequence has {list(state.base.cameras)}")


def _check_class(state: LabelState, class_name: str) -> None:
    if class_name not in state.base.class_names:
        raise EditError(f"there is no class {class_name!r}; there are {list(state.base.class_names)}")


def _check_born(state: LabelState, object_id: int) -> None:
    if object_id < FIRST_BORN_ID or object_id in state.objects or state.get(object_id) is not None:
        raise EditError(f"{object_id} is no id for a new object; take one from Labels.new_id()")


def _check_present(state: LabelState, item: LabelObject, frame: int, camera: str) -> None:
    _frame(state, frame)
    if item.flag(Flag.ABSENT, camera).at(frame) is not None:
        raise EditError(f"object {item.object_id} is absent at frame {frame}; clear that first")
    if item.start is not None and frame < item.start:
        raise EditError(f"object {item.object_id} starts at frame {item.start}; trim it earlier first")
    if item.stop is not None and frame >= item.stop:
        raise EditError(f"object {item.object_id} ends at frame {item.stop - 1}; trim it later first")


def _refuse_keyframes(item: LabelObject, cameras: Sequence[str], frames: range, what: str) -> None:
    for camera in cameras:
        within = [frame for frame in item.keyframes(camera) if frame in frames]
        if within:
            raise EditError(
                f"object {item.object_id} cannot {what}: it has keyframes{f' in {camera}' if camera else ''} at "
                f"{within[:10]}; unset them first"
            )
