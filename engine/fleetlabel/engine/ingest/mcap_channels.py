"""What an MCAP log has of each topic, found in one pass over its files; clocks that differ are told and mended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetlabel.engine.ingest import mcap_messages as messages
from fleetlabel.engine.ingest.mcap_files import McapFile, Message, Topic
from fleetlabel.engine.ingest.numbered import MAX_FRAMES
from fleetlabel.engine.ingest.transform_tree import TransformTree
from fleetlabel.geometry.arrays import I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError

_SENSORS = (*messages.PICTURES, *messages.VIDEOS, *messages.CLOUDS)
_READ = (*_SENSORS, *messages.CALIBRATIONS, *messages.TRANSFORMS, *messages.ODOMETRY)
_CLOCK_NS = 1_000_000_000  # apart from the poses' clock


@dataclass(slots=True)
class Channel:
    """Messages of one topic, as they were found.

    Attributes:
        times_ns: of the headers, None where a message cannot be decoded.
        faults: message -> why it cannot be used.
    """

    topic: Topic
    places: list[tuple[McapFile, Message]] = field(default_factory=list)
    times_ns: list[int | None] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)
    frame_id: str = ""
    timed_points: bool = False
    video_format: str = ""

    def log_times_ns(self) -> I64:
        """(N,) when messages were recorded."""
        return np.array([place.log_time_ns for _, place in self.places], dtype=np.int64)


class Scan:
    """What files have of sensors, calibrations, transforms and odometry."""

    def __init__(self, files: list[McapFile]) -> None:
        self.channels: dict[str, Channel] = {}
        self.calibrations: dict[str, tuple[str, Any]] = {}
        self.tree = TransformTree()
        self.odometry: dict[str, list[tuple[str, str, int, list[float]]]] = {}
        self.pose_delays_ns: list[int] = []
        self.warnings: list[str] = []
        self._broken: dict[str, int] = {}
        types: dict[str, str] = {}

        def wanted(topic: Topic) -> bool:
            types[topic.name] = topic.type_name
            return topic.type_name in _READ and not topic.name.endswith("compressedDepth")

        for file in files:
            for topic, place, message in file.scan(wanted):
                if not topic.name:
                    self.warnings.append(f"{message}; what is before is used")
                    continue
                self._take(file, topic, place, message)
        raw = sorted(
            name for name, kind in types.items() if kind in ("sensor_msgs/msg/Image", "foxglove.RawImage")
        )
        if raw:
            self.warnings.append(f"raw pictures are not read ({', '.join(raw[:8])}); record them compressed")
        self.warnings += [
            f"{count} messages of {topic} cannot be used" for topic, count in self._broken.items()
        ]

    def _take(self, file: McapFile, topic: Topic, place: Message, message: Any) -> None:
        if topic.type_name in _SENSORS:
            self._sample(self.channels.setdefault(topic.name, Channel(topic)), file, place, message)
            return
        try:
            if isinstance(message, SourceError):
                raise message
            if topic.type_name in messages.CALIBRATIONS:
                self.calibrations.setdefault(topic.name, (messages.stamp_of(message).frame_id, message))
            elif topic.type_name in messages.ODOMETRY:
                said = messages.odometry_of(message)
                self.odometry.setdefault(topic.name, []).append(said)
                self.pose_delays_ns.append(place.log_time_ns - said[2])
            else:
                for parent, child, time_ns, pose in messages.transforms_of(message):
                    self.tree.add(parent, child, time_ns, pose)
                    if "static" not in topic.name:
                        self.pose_delays_ns.append(place.log_time_ns - time_ns)
        except (SourceError, AttributeError, TypeError, ValueError):
            self._broken[topic.name] = self._broken.get(topic.name, 0) + 1

    def _sample(self, channel: Channel, file: McapFile, place: Message, message: Any) -> None:
        row = len(channel.places)
        if row >= MAX_FRAMES:
            raise SourceError(
                f"{file.path}: {channel.topic.name} has more than {MAX_FRAMES} messages; split the log"
            )
        channel.places.append((file, place))
        channel.times_ns.append(None)
        if isinstance(message, SourceError):
            channel.faults[row] = str(message)
            return
        where = f"{file.path}, {channel.topic.name} at {place.log_time_ns} ns"
        try:
            stamp = messages.stamp_of(message)
            channel.times_ns[row] = stamp.time_ns
            if not channel.frame_id:
                channel.frame_id = stamp.frame_id
                if channel.topic.type_name in messages.CLOUDS:
                    channel.timed_points = messages.points_of(message, stamp.time_ns, where)[1]
                if channel.topic.type_name in messages.VIDEOS:
                    channel.video_format = str(message.format)
            elif stamp.frame_id != channel.frame_id:
                channel.faults[row] = (
                    f"{where} is in frame {stamp.frame_id!r}, others of it in {channel.frame_id!r}"
                )
        except SourceError as error:
            channel.faults[row] = str(error)
        except (AttributeError, TypeError, ValueError) as error:
            channel.faults[row] = f"{where} has not the fields of its type ({error}); restore the file"


def on_one_clock(channels: dict[str, Channel], pose_delays_ns: list[int]) -> list[str]:
    """Puts topics of another clock on the poses', and says which.

    Args:
        pose_delays_ns: how long after their stamps poses were recorded.
    """
    usual = int(np.median(pose_delays_ns)) if pose_delays_ns else 0
    said = []
    for name, channel in channels.items():
        log = channel.log_times_ns().tolist()
        delays = [recorded - stamp for stamp, recorded in zip(channel.times_ns, log, strict=True) if stamp]
        other = not delays or abs(int(np.median(delays)) - usual) > _CLOCK_NS
        if other:
            said.append(
                f"stamps of {name} are zero or of another clock than the poses'; its log times are used"
            )
        stamps = zip(channel.times_ns, log, strict=True)
        channel.times_ns = [recorded - usual if other or not stamp else stamp for stamp, recorded in stamps]
    return said


def in_reach(channel: Channel, trajectory: Trajectory) -> tuple[Channel, int]:
    """The messages that ego poses reach, by time, and how many others there are."""
    slack = trajectory.max_extrapolation_ns
    low, high = int(trajectory.timestamp_ns[0]) - slack, int(trajectory.timestamp_ns[-1]) + slack
    rows = [row for row, time in enumerate(channel.times_ns) if time is not None and low <= time <= high]
    if channel.video_format:  # a video's frames are its messages: all of them, or none can be told
        rows = list(range(rows[0], rows[-1] + 1)) if rows else []
    else:
        rows.sort(key=lambda row: channel.times_ns[row] or 0)
    kept = Channel(
        channel.topic,
        [channel.places[row] for row in rows],
        [channel.times_ns[row] for row in rows],
        {at: channel.faults[row] for at, row in enumerate(rows) if row in channel.faults},
        channel.frame_id,
        channel.timed_points,
        channel.video_format,
    )
    return kept, len(channel.places) - len(rows)
