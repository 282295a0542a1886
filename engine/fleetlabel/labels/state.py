"""Labels at one moment: a base version, and the objects that people touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fleetlabel.geometry.arrays import I32
from fleetlabel.labels.objects import Flag, LabelObject, Segment
from fleetlabel.model.errors import EditError


class Base(Protocol):
    """What edits need to know of the label version that they begin with; its boxes are read as needed."""

    @property
    def n_frames(self) -> int:
        """Number of frames of the sequence."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the sequence's cameras."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that objects may have."""

    def cameras_of(self, track_id: int) -> tuple[str, ...]:
        """Cameras in whose pictures a track has boxes, "" if it has cuboids; none if there is no such track."""

    def class_of(self, track_id: int) -> str:
        """Class of a track."""

    def evidence_frames(self, segment: Segment) -> I32:
        """Frames, ascending, at which a piece of a track was seen, not just filled in."""


@dataclass(frozen=True, slots=True)
class LabelState:
    """Labels at one moment. Two states on one base are equal if and only if all their labels are.

    Attributes:
        base: the version that people began with.
        objects: what differs from it: objects that people touched or made, None for those that they deleted.
    """

    base: Base = field(compare=False)
    objects: Mapping[int, LabelObject | None] = field(default_factory=dict)

    def get(self, object_id: int) -> LabelObject | None:
        """An object, None if there is none of that id."""
        if object_id in self.objects:
            return self.objects[object_id]
        return self.pristine(object_id)

    def __getitem__(self, object_id: int) -> LabelObject:
        found = self.get(object_id)
        if found is None:
            raise EditError(f"there is no object {object_id}; it was deleted or merged, or never was")
        return found

    def pristine(self, object_id: int) -> LabelObject | None:
        """The object as the base version has it."""
        cameras = self.base.cameras_of(object_id)
        if not cameras:
            return None
        whole = tuple(Segment(camera, object_id, 0, self.base.n_frames) for camera in sorted(cameras))
        return LabelObject(object_id, whole)

    def with_objects(self, images: Mapping[int, LabelObject | None]) -> LabelState:
        """With some objects exchanged; what is as in the base version again is not kept."""
        objects = dict(self.objects)
        for object_id, image in images.items():
            if image == self.pristine(object_id):
                objects.pop(object_id, None)
            else:
                objects[object_id] = image
        return LabelState(self.base, objects)

    def class_of(self, item: LabelObject, frame: int | None = None) -> str:
        """Class of an object, at a frame or where it begins."""
        said = (
            item.classes.at(frame) if frame is not None else next((value for *_, value in item.classes), None)
        )
        if said is not None:
            return said
        if item.segments:
            return self.base.class_of(item.segments[0].track_id)
        return next((value for *_, value in item.classes), "")

    def evidence_frames(self, item: LabelObject, camera: str) -> set[int]:
        """Frames at which an object was seen or set, and is not said to be absent."""
        frames = set(item.keyframes(camera))
        for segment in item.segments:
            if segment.camera == camera:
                frames.update(self.base.evidence_frames(segment).tolist())
        first, end = item.start or 0, self.base.n_frames if item.stop is None else item.stop
        absent = item.flag(Flag.ABSENT, camera)
        return {frame for frame in frames if first <= frame < end and absent.at(frame) is None}

    def __iter__(self) -> Iterator[LabelObject]:
        """Objects that people touched or made, by id."""
        for object_id in sorted(self.objects):
            item = self.objects[object_id]
            if item is not None:
                yield item
