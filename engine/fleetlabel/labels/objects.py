"""What people said about one object: plain values, without the boxes that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fleetlabel.labels.spans import Spans

AttributeValue = bool | int | float | str

# Ids of objects that people make begin here; trackers count from 1 and stay far below.
FIRST_BORN_ID = 1_000_000_000
BIRTHS_PER_COMMIT = 1000


class Flag(StrEnum):
    """What can be said of an object frame by frame."""

    ABSENT = "absent"
    OCCLUSION = "occlusion"
    TRUNCATION = "truncation"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A piece of a track of the base version that belongs to an object.

    Attributes:
        camera: whose pictures the track's boxes are in; "" for cuboids.
        track_id: in the base version.
        start, stop: frames ``start:stop``.
    """

    camera: str
    track_id: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Pose:
    """A cuboid keyframe: where a person put the object, in the world frame; its size is the object's."""

    center_m: tuple[float, float, float]
    yaw_rad: float


@dataclass(frozen=True, slots=True)
class PictureBox:
    """A 2D keyframe: the visible part, and the whole object within the picture (None: not said)."""

    xyxy_px: tuple[float, float, float, float]
    amodal_xyxy_px: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person wants looked at; ``frame`` is None if it concerns the whole track."""

    text: str
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class LabelObject:
    """One object: which machine tracks it is made of, and every word of people about it.

    Two objects are equal if and only if they give the same labels. The mappings are never changed in place.

    Attributes:
        object_id: its identity; of a machine's track, the track's id.
        segments: evidence from the base version, sorted; none for an object that people made.
        poses: frame -> cuboid keyframe.
        boxes: (camera, frame) -> 2D keyframe.
        size_lwh_m: one size for the whole track; None: the solver's.
        stationary: one world pose for the whole track; None: the solver decides.
        flipped: whether the machine's heading is turned by half a turn.
        start, stop: frames outside of ``start:stop`` have been trimmed; None: as far as evidence reaches.
        flags: (flag, camera) -> value by frame; camera "" is everywhere, and gives way to the camera's own.
        classes: class by frame where people changed it.
        attributes: name -> value by frame.
        accepted: frames that a person found good.
        notes: escalations that are open.
    """

    object_id: int
    segments: tuple[Segment, ...] = ()
    poses: Mapping[int, Pose] = field(default_factory=dict)
    boxes: Mapping[tuple[str, int], PictureBox] = field(default_factory=dict)
    size_lwh_m: tuple[float, float, float] | None = None
    stationary: bool | None = None
    flipped: bool = False
    start: int | None = None
    stop: int | None = None
    flags: Mapping[tuple[Flag, str], Spans[bool | int | float | str]] = field(default_factory=dict)
    classes: Spans[str] = field(default_factory=Spans)
    attributes: Mapping[str, Spans[AttributeValue]] = field(default_factory=dict)
    accepted: Spans[bool] = field(default_factory=Spans)
    notes: tuple[Note, ...] = ()

    def flag(self, flag: Flag, camera: str = "") -> Spans[AttributeValue]:
        """A flag by frame as it holds in one camera's pictures, or for cuboids (camera "")."""
        everywhere = self.flags.get((flag, ""), Spans())
        return self.flags.get((flag, camera), Spans()).over(everywhere) if camera else everywhere

    def keyframes(self, camera: str) -> list[int]:
        """Frames of the keyframes in one camera's pictures, or of the cuboids (camera ""), ascending."""
        if not camera:
            return sorted(self.poses)
        return sorted(frame for name, frame in self.boxes if name == camera)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that the object has evidence or keyframes in, "" (cuboids) first if among them."""
        return tuple(
            sorted(
                {segment.camera for segment in self.segments}
                | {camera for camera, _ in self.boxes}
                | ({""} if self.poses else set())
            )
        )


def joined_segments(segments: list[Segment]) -> tuple[Segment, ...]:
    """Segments in their one canonical form: sorted, none empty, neighbours of one track merged."""
    joined: list[Segment] = []
    for segment in sorted(segment for segment in segments if segment.start < segment.stop):
        last = joined[-1] if joined else None
        same = last and (last.camera, last.track_id) == (segment.camera, segment.track_id)
        if last and same and last.stop >= segment.start:
            joined[-1] = Segment(last.camera, last.track_id, last.start, max(last.stop, segment.stop))
        else:
            joined.append(segment)
    return tuple(joined)


def born_id(sequence: int, index: int) -> int:
    """Id of the ``index``-th object made by the commit with that sequence number: never drawn twice."""
    return FIRST_BORN_ID + sequence * BIRTHS_PER_COMMIT + index
