"""What edits of one kind have in common: the object, the frames, the camera that they are about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from fleetlabel.labels.edit_checks import check_int, check_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What all edits have in common: the object that they are about.

    ``others`` names the fields that hold further objects' ids, ``born`` the field that holds the id of an object that
    does not exist before (see :meth:`fleetlabel.labels.Labels.new_id`).
    """

    object_id: int

    kind: ClassVar[str]
    others: ClassVar[tuple[str, ...]] = ()
    born: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for name in ("object_id", *self.others):
            check_int(self, name, least=0)

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
class FrameEdit(Edit):
    """An edit at one frame, or from one frame on."""

    frame: int

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeEdit(Edit):
    """An edit of a range of frames."""

    start: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        for name in ("start", "stop"):
            if getattr(self, name) is not None:
                check_int(self, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRangeEdit(RangeEdit):
    """An edit of a range of frames, everywhere or in one camera's pictures."""

    camera: str = ""

    def __post_init__(self) -> None:
        RangeEdit.__post_init__(self)
        check_text(self, "camera", empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimEdit(Edit):
    """An edit of where the object begins or ends."""

    frame: int | None

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        if self.frame is not None:
            check_int(self, "frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEdit(Edit):
    """An edit of the notes: one at a frame, or on the whole track."""

    text: str
    frame: int | None = None

    def __post_init__(self) -> None:
        Edit.__post_init__(self)
        check_text(self, "text")
        if self.frame is not None:
            check_int(self, "frame")
