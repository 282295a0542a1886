"""Edits: what a person can do to labels, as small immutable values.

An edit says what is wanted; :func:`fleetlabel.labels.applying.apply` says whether it can be had, and what takes it
back. Ranges of frames are ``start:stop``, None standing for the sequence's first and last frame. ``camera`` "" means
the object as a whole, a camera's name just its boxes in that camera's pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from fleetlabel.labels.edit_bases import CameraRangeEdit, Edit, FrameEdit, NoteEdit, RangeEdit, TrimEdit
from fleetlabel.labels.edit_checks import check_box, check_int, check_number, check_numbers, check_text, wrong
from fleetlabel.labels.objects import AttributeValue, LabelObject
from fleetlabel.model.errors import EditError


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateObject(Edit):
    """A new object, without boxes until it gets keyframes."""

    class_name: str
    kind: ClassVar[str] = "create_object"
    born: ClassVar[str | None] = "object_id"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        check_text(self, "class_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObject(Edit):
    """There is no such object: all of its boxes go."""

    kind: ClassVar[str] = "delete_object"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyframe3D(FrameEdit):
    """The object is exactly here at this frame.

    Attributes:
        center_m: in the world frame.
        yaw_rad: heading in the world frame.
        size_lwh_m: the whole track's size from now on, if given: a rigid object has one.
    """

    center_m: tuple[float, float, float]
    yaw_rad: float
    size_lwh_m: tuple[float, float, float] | None = None
    kind: ClassVar[str] = "set_keyframe_3d"

    def __post_init__(self) -> None:
        FrameEdit.__post_init__(self)
        check_numbers(self, "center_m", 3)
        check_number(self, "yaw_rad")
        if self.size_lwh_m is not None:
            check_numbers(self, "size_lwh_m", 3, positive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsetKeyframe3D(FrameEdit):
    """Nobody says any more where the object is at this frame."""

    kind: ClassVar[str] = "unset_keyframe_3d"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyframe2D(FrameEdit):
    """The object's box in one picture is exactly this.

    Attributes:
        xyxy_px: of the visible part, pixel edges.
        amodal_xyxy_px: of the whole object within the picture; None if not said.
    """

    camera: str
    xyxy_px: tuple[float, float, float, float]
    amodal_xyxy_px: tuple[float, float, float, float] | None = None
    kind: ClassVar[str] = "set_keyframe_2d"

    def __post_init__(self) -> None:
        FrameEdit.__post_init__(self)
        check_text(self, "camera")
        check_box(self, "xyxy_px")
        if self.amodal_xyxy_px is not None:
            check_box(self, "amodal_xyxy_px")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsetKeyframe2D(FrameEdit):
    """Nobody says any more where the object is in this picture."""

    camera: str
    kind: ClassVar[str] = "unset_keyframe_2d"

    def __post_init__(self) -> None:
        FrameEdit.__post_init__(self)
        check_text(self, "camera")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAbsent(CameraRangeEdit):
    """The object is not there, or not to be seen by one camera."""

    kind: ClassVar[str] = "set_absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearAbsent(CameraRangeEdit):
    """Nobody says any more that the object is not there."""

    kind: ClassVar[str] = "clear_absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimStart(TrimEdit):
    """The object is there from this frame on; None takes an earlier trim back."""

    kind: ClassVar[str] = "trim_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimEnd(TrimEdit):
    """The object is there up to this frame, and not in the next; None takes an earlier trim back."""

    kind: ClassVar[str] = "trim_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(FrameEdit):
    """From this frame on it is another object; with a camera, only that camera's boxes are."""

    new_id: int
    camera: str = ""
    kind: ClassVar[str] = "split"
    others: ClassVar[tuple[str, ...]] = ("new_id",)
    born: ClassVar[str | None] = "new_id"

    def __post_init__(self) -> None:
        FrameEdit.__post_init__(self)
        check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Edit):
    """``other_id`` is the same object: its boxes become this object's, and it ends."""

    other_id: int
    kind: ClassVar[str] = "merge"
    others: ClassVar[tuple[str, ...]] = ("other_id",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeIdentity(FrameEdit):
    """From this frame on its boxes are ``other_id``'s; with a camera, only those in that camera's pictures."""

    other_id: int
    camera: str = ""
    kind: ClassVar[str] = "change_identity"
    others: ClassVar[tuple[str, ...]] = ("other_id",)

    def __post_init__(self) -> None:
        FrameEdit.__post_init__(self)
        check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapIdentities(FrameEdit):
    """From this frame on the two objects were taken for one another."""

    other_id: int
    kind: ClassVar[str] = "swap_identities"
    others: ClassVar[tuple[str, ...]] = ("other_id",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClass(RangeEdit):
    """The object is of this class, throughout or over a range."""

    class_name: str
    kind: ClassVar[str] = "set_class"

    def __post_init__(self) -> None:
        RangeEdit.__post_init__(self)
        check_text(self, "class_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttribute(RangeEdit):
    """An attribute has this value, throughout or over a range; None takes it away."""

    name: str
    value: AttributeValue | None
    kind: ClassVar[str] = "set_attribute"

    def __post_init__(self) -> None:
        RangeEdit.__post_init__(self)
        check_text(self, "name")
        if isinstance(self.value, float):
            check_number(self, "value")
        elif isinstance(self.value, str):
            check_text(self, "value", empty=True)
        elif not (self.value is None or isinstance(self.value, (bool, int))):
            raise wrong(self, "value", "text, a number, true, false or null")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFlags(CameraRangeEdit):
    """Flags over a range of frames; those that are None stay as they are.

    Attributes:
        occlusion: 0 (none) to 3, as KITTI grades it.
        truncation: share of the object outside the picture, 0 to 1.
        ignore: neither an object nor background: metrics leave it out.
    """

    occlusion: int | None = None
    truncation: float | None = None
    ignore: bool | None = None
    kind: ClassVar[str] = "set_flags"

    def __post_init__(self) -> None:
        CameraRangeEdit.__post_init__(self)
        if self.occlusion is not None:
            check_int(self, "occlusion", least=0, most=3)
        if self.truncation is not None:
            check_number(self, "truncation")
            if not 0 <= self.truncation <= 1:
                raise wrong(self, "truncation", "a share from 0 to 1")
        if not (self.ignore is None or isinstance(self.ignore, bool)):
            raise wrong(self, "ignore", "true, false or null")
        if self.occlusion is self.truncation is self.ignore is None:
            raise EditError(f"{self.kind}: no flag is given; give occlusion, truncation or ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Edit):
    """The object has this size in every frame; None leaves it to the solver again."""

    size_lwh_m: tuple[float, float, float] | None
    kind: ClassVar[str] = "resize"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        if self.size_lwh_m is not None:
            check_numbers(self, "size_lwh_m", 3, positive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipHeading(Edit):
    """The object faces the other way, in every frame."""

    kind: ClassVar[str] = "flip_heading"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStationary(Edit):
    """The object stands still (one world pose) or moves; None leaves it to the solver."""

    stationary: bool | None
    kind: ClassVar[str] = "set_stationary"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        if not (self.stationary is None or isinstance(self.stationary, bool)):
            raise wrong(self, "stationary", "true, false or null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(RangeEdit):
    """A person looked at these frames and found them good as they are; ``accepted`` False takes that back."""

    accepted: bool = True
    kind: ClassVar[str] = "accept"

    def __post_init__(self) -> None:
        RangeEdit.__post_init__(self)
        if not isinstance(self.accepted, bool):
            raise wrong(self, "accepted", "true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate(NoteEdit):
    """Somebody else should look at this, for the reason in the note."""

    kind: ClassVar[str] = "escalate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(NoteEdit):
    """An escalation is dealt with: the note with this text at this frame goes."""

    kind: ClassVar[str] = "settle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore(Edit):
    """Objects are again as they were: the inverse of every edit.

    Attributes:
        object_id: the first of the objects.
        images: (id, object), None where there was no such object.
    """

    images: tuple[tuple[int, LabelObject | None], ...]
    kind: ClassVar[str] = "restore"

    @property
    def touches(self) -> tuple[int, ...]:
        """Ids of all objects that are restored."""
        return tuple(object_id for object_id, _ in self.images)

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        if not self.images or self.images[0][0] != self.object_id:
            raise wrong(self, "images", f"at least one object, object_id {self.object_id} first")


KINDS: dict[str, type[Edit]] = {
    edit.kind: edit
    for edit in (
        *(CreateObject, DeleteObject, SetKeyframe3D, UnsetKeyframe3D, SetKeyframe2D, UnsetKeyframe2D),
        *(SetAbsent, ClearAbsent, TrimStart, TrimEnd, Split, Merge, ChangeIdentity, SwapIdentities, SetClass),
        *(SetAttribute, SetFlags, Resize, FlipHeading, SetStationary, Accept, Escalate, Settle, Restore),
    )
}


def touched(edits: Sequence[Edit]) -> tuple[int, ...]:
    """Ids of all objects that edits change, ascending."""
    return tuple(sorted({object_id for edit in edits for object_id in edit.touches}))


def born(edits: Sequence[Edit]) -> tuple[int, ...]:
    """Ids of the objects that edits make, in order."""
    return tuple(getattr(edit, edit.born) for edit in edits if edit.born is not None)


def concerns(edit: Edit, frame: int | None, camera: str | None) -> bool:
    """Whether an edit says something of an object's box at a frame, in a camera's picture.

    What concerns the object as a whole concerns each of its boxes; a keyframe concerns the one box that it is, though
    others follow from it.

    Args:
        frame: None: whichever.
        camera: "" for the cuboid, None: whichever.
    """
    of_camera = getattr(edit, "camera", "")
    if camera is not None and of_camera not in ("", camera):
        return False
    if frame is None:
        return True
    if isinstance(edit, (Split, ChangeIdentity, SwapIdentities)):
        return frame >= edit.frame
    if isinstance(edit, (FrameEdit, NoteEdit)):
        return edit.frame is None or edit.frame == frame
    if isinstance(edit, RangeEdit):
        return (edit.start or 0) <= frame and (edit.stop is None or frame < edit.stop)
    return True


def field_names(kind: type[Edit]) -> tuple[str, ...]:
    """Names of what an edit of a kind says."""
    return tuple(field.name for field in fields(kind))
