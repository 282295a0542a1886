"""Edits: what a person can do to labels, as small immutable values.

An edit says what is wanted; :func:`fleetlabel.labels.applying.apply` says whether it can be had, and what takes it
back. Ranges of frames are ``start:stop``, None standing for the sequence's first and last frame. ``camera`` "" means
the object as a whole, a camera's name just its boxes in that camera's pictures.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

from fleetlabel.labels.objects import AttributeValue, LabelObject
from fleetlabel.model.errors import EditError

_LONGEST_TEXT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What all edits have in common: the object that they are about.

    ``others`` names the fields that hold further objects' ids, ``born`` the field that holds the id of an object that
    does not exist before (see :meth:`fleetlabel.labels.Labels.new_ids`).
    """

    object_id: int

    kind: ClassVar[str]
    others: ClassVar[tuple[str, ...]] = ()
    born: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for name in ("object_id", *self.others):
            _check_int(self, name, least=0)

    @property
    def touches(self) -> tuple[int, ...]:
        """Ids of all objects that the edit changes."""
        return (self.object_id, *(getattr(self, name) for name in self.others))

    def renamed(self, new_id: dict[int, int]) -> Self:
        """The same edit on objects of other ids."""
        names = ("object_id", *self.others)
        changed = {name: new_id[old] for name in names if (old := getattr(self, name)) in new_id}
        return replace(self, **changed) if changed else self


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateObject(Edit):
    """A new object, without boxes until it gets keyframes."""

    class_name: str
    kind: ClassVar[str] = "create_object"
    born: ClassVar[str | None] = "object_id"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_text(self, "class_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObject(Edit):
    """There is no such object: all of its boxes go."""

    kind: ClassVar[str] = "delete_object"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyframe3D(Edit):
    """The object is exactly here at this frame.

    Attributes:
        center_m: in the world frame.
        yaw_rad: heading in the world frame.
        size_lwh_m: the whole track's size from now on, if given: a rigid object has one.
    """

    frame: int
    center_m: tuple[float, float, float]
    yaw_rad: float
    size_lwh_m: tuple[float, float, float] | None = None
    kind: ClassVar[str] = "set_keyframe_3d"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_int(self, "frame")
        _check_numbers(self, "center_m", 3)
        _check_number(self, "yaw_rad")
        if self.size_lwh_m is not None:
            _check_numbers(self, "size_lwh_m", 3, positive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsetKeyframe3D(Edit):
    """Nobody says any more where the object is at this frame."""

    frame: int
    kind: ClassVar[str] = "unset_keyframe_3d"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyframe2D(Edit):
    """The object's box in one picture is exactly this.

    Attributes:
        xyxy_px: of the visible part, pixel edges.
        amodal_xyxy_px: of the whole object within the picture; None if not said.
    """

    camera: str
    frame: int
    xyxy_px: tuple[float, float, float, float]
    amodal_xyxy_px: tuple[float, float, float, float] | None = None
    kind: ClassVar[str] = "set_keyframe_2d"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_text(self, "camera")
        _check_int(self, "frame")
        _check_box(self, "xyxy_px")
        if self.amodal_xyxy_px is not None:
            _check_box(self, "amodal_xyxy_px")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsetKeyframe2D(Edit):
    """Nobody says any more where the object is in this picture."""

    camera: str
    frame: int
    kind: ClassVar[str] = "unset_keyframe_2d"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_text(self, "camera")
        _check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class _RangeEdit(Edit):
    """An edit of a range of frames."""

    start: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        for name in ("start", "stop"):
            if getattr(self, name) is not None:
                _check_int(self, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAbsent(_RangeEdit):
    """The object is not there, or not to be seen by one camera."""

    camera: str = ""
    kind: ClassVar[str] = "set_absent"

    def __post_init__(self) -> None:
        _RangeEdit.__post_init__(self)
        _check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearAbsent(_RangeEdit):
    """Nobody says any more that the object is not there."""

    camera: str = ""
    kind: ClassVar[str] = "clear_absent"

    def __post_init__(self) -> None:
        _RangeEdit.__post_init__(self)
        _check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimStart(Edit):
    """The object is there from this frame on; None takes an earlier trim back."""

    frame: int | None
    kind: ClassVar[str] = "trim_start"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        if self.frame is not None:
            _check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimEnd(Edit):
    """The object is there up to this frame, and not in the next; None takes an earlier trim back."""

    frame: int | None
    kind: ClassVar[str] = "trim_end"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        if self.frame is not None:
            _check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Edit):
    """From this frame on it is another object; with a camera, only that camera's boxes are."""

    frame: int
    new_id: int
    camera: str = ""
    kind: ClassVar[str] = "split"
    others: ClassVar[tuple[str, ...]] = ("new_id",)
    born: ClassVar[str | None] = "new_id"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_int(self, "frame")
        _check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Edit):
    """``other_id`` is the same object: its boxes become this object's, and it ends."""

    other_id: int
    kind: ClassVar[str] = "merge"
    others: ClassVar[tuple[str, ...]] = ("other_id",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeIdentity(Edit):
    """From this frame on its boxes are ``other_id``'s; with a camera, only those in that camera's pictures."""

    frame: int
    other_id: int
    camera: str = ""
    kind: ClassVar[str] = "change_identity"
    others: ClassVar[tuple[str, ...]] = ("other_id",)

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_int(self, "frame")
        _check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapIdentities(Edit):
    """From this frame on the two objects were taken for one another."""

    frame: int
    other_id: int
    kind: ClassVar[str] = "swap_identities"
    others: ClassVar[tuple[str, ...]] = ("other_id",)

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClass(_RangeEdit):
    """The object is of this class, throughout or over a range."""

    class_name: str
    kind: ClassVar[str] = "set_class"

    def __post_init__(self) -> None:
        _RangeEdit.__post_init__(self)
        _check_text(self, "class_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttribute(_RangeEdit):
    """An attribute has this value, throughout or over a range; None takes it away."""

    name: str
    value: AttributeValue | None
    kind: ClassVar[str] = "set_attribute"

    def __post_init__(self) -> None:
        _RangeEdit.__post_init__(self)
        _check_text(self, "name")
        if isinstance(self.value, float):
            _check_number(self, "value")
        elif isinstance(self.value, str):
            _check_text(self, "value", empty=True)
        elif not (self.value is None or isinstance(self.value, (bool, int))):
            raise _wrong(self, "value", "text, a number, true, false or null")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFlags(_RangeEdit):
    """Flags over a range of frames; those that are None stay as they are.

    Attributes:
        occlusion: 0 (none) to 3, as KITTI grades it.
        truncation: share of the object outside the picture, 0 to 1.
        ignore: neither an object nor background: metrics leave it out.
    """

    camera: str = ""
    occlusion: int | None = None
    truncation: float | None = None
    ignore: bool | None = None
    kind: ClassVar[str] = "set_flags"

    def __post_init__(self) -> None:
        _RangeEdit.__post_init__(self)
        _check_text(self, "camera", empty=True)
        if self.occlusion is not None:
            _check_int(self, "occlusion", least=0, most=3)
        if self.truncation is not None:
            _check_number(self, "truncation")
            if not 0 <= self.truncation <= 1:
                raise _wrong(self, "truncation", "a share from 0 to 1")
        if not (self.ignore is None or isinstance(self.ignore, bool)):
            raise _wrong(self, "ignore", "true, false or null")
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
            _check_numbers(self, "size_lwh_m", 3, positive=True)


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
            raise _wrong(self, "stationary", "true, false or null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(_RangeEdit):
    """A person looked at these frames and found them good as they are; ``accepted`` False takes that back."""

    accepted: bool = True
    kind: ClassVar[str] = "accept"

    def __post_init__(self) -> None:
        _RangeEdit.__post_init__(self)
        if not isinstance(self.accepted, bool):
            raise _wrong(self, "accepted", "true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate(Edit):
    """Somebody else should look at this, for the reason in the note."""

    text: str
    frame: int | None = None
    kind: ClassVar[str] = "escalate"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_text(self, "text")
        if self.frame is not None:
            _check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(Edit):
    """An escalation is dealt with: the note with this text at this frame goes."""

    text: str
    frame: int | None = None
    kind: ClassVar[str] = "settle"

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        _check_text(self, "text")
        if self.frame is not None:
            _check_int(self, "frame")


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
            raise _wrong(self, "images", f"at least one object, object_id {self.object_id} first")


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


def field_names(kind: type[Edit]) -> tuple[str, ...]:
    """Names of what an edit of a kind says."""
    return tuple(field.name for field in fields(kind))


def _wrong(edit: Edit, name: str, expected: str) -> EditError:
    return EditError(
        f"{edit.kind} of object {edit.object_id}: {name} is {getattr(edit, name)!r}, expected {expected}"
    )


def _check_int(edit: Edit, name: str, least: int | None = 0, most: int | None = None) -> None:
    value = getattr(edit, name)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise _wrong(edit, name, "a whole number")
    value = operator.index(value)  # numpy's whole numbers are taken
    object.__setattr__(edit, name, value)
    if (least is not None and value < least) or (most is not None and value > most):
        raise _wrong(edit, name, f"a whole number from {least}" + ("" if most is None else f" to {most}"))


def _check_number(edit: Edit, name: str) -> None:
    object.__setattr__(edit, name, _finite(edit, name, getattr(edit, name)))


def _check_numbers(edit: Edit, name: str, length: int, positive: bool = False) -> None:
    value = getattr(edit, name)
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != length:
        raise _wrong(edit, name, f"{length} numbers")
    numbers = tuple(_finite(edit, name, number) for number in value)
    if positive and min(numbers) <= 0:
        raise _wrong(edit, name, f"{length} positive numbers")
    object.__setattr__(edit, name, numbers)


def _check_box(edit: Edit, name: str) -> None:
    _check_numbers(edit, name, 4)
    x1, y1, x2, y2 = getattr(edit, name)
    if not (x1 < x2 and y1 < y2):
        raise _wrong(edit, name, "x1 < x2 and y1 < y2")


def _check_text(edit: Edit, name: str, empty: bool = False) -> None:
    value = getattr(edit, name)
    if not isinstance(value, str) or not (value.strip() or empty) or len(value) > _LONGEST_TEXT:
        raise _wrong(
            edit, name, f"text of up to {_LONGEST_TEXT} characters" + ("" if empty else ", not empty")
        )


def _finite(edit: Edit, name: str, number: object) -> float:
    """As a Python float: numpy's numbers are taken, and minus zero is zero, so that equal edits have equal bytes."""
    try:
        value = float(number) + 0.0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise _wrong(edit, name, "numbers") from None
    if isinstance(number, (bool, str)) or not math.isfinite(value):
        raise _wrong(edit, name, "finite numbers")
    return value
