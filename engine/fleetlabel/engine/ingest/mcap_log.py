"""MCAP logs of ROS 2 (CDR) and Foxglove (protobuf): ``.mcap`` files, and folders of them.

A folder that rosbag2 made (``metadata.yaml``) is one drive whose files follow one another; in any other folder each
file is one. What is read: CompressedImage, CompressedVideo, PointCloud2 and Foxglove's PointCloud, CameraInfo and
CameraCalibration, transforms, Odometry. What people get wrong, and what holds here:

- Times are those of the messages' headers, when the sensor measured; not the log's, when the recorder got to it. A
  topic whose stamps are zero, or of another clock than the poses' (wall time in a simulation), goes by log times.
- The ego frame is ``base_link`` (x forward, y left, z up, REP 103); the world is the root of the tree of transforms,
  ``map`` above ``odom`` where there is one. Edges that move are interpolated each at its own samples. Without a moving
  transform above the ego frame, Odometry takes its place.
- A camera's frame is its optical one: x right, y down, z forward. Where a message names the body's frame instead
  (z up), that is turned, with a warning.
- A camera has the CameraInfo beside its topic, otherwise the one with its frame; pictures that are called rectified
  have P and no distortion.
- Points that carry times (``t``, ``time``, ``timestamp``, ``offset_time``) are taken as measured, and each is placed by
  its own time; without, the cloud is taken as compensated to the header's time.
- Frame i of a video is message i.

Not read: raw pictures (Image), compressedDepth, labels, IDL schemas, ROS 1.

Bad data: messages that cannot be decoded set their frames aside; a file that breaks off is read up to there, with a
warning; a sensor whose place or calibration nobody says is left out, with a warning. Files are scanned once per process
and state, and then read chunk by chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest import mcap_messages as messages
from fleetlabel.engine.ingest.clocks import Timeline, require_reach
from fleetlabel.engine.ingest.mcap_channels import Channel, Scan, in_reach, on_one_clock
from fleetlabel.engine.ingest.mcap_files import McapFile
from fleetlabel.engine.ingest.mcap_video import messages_of_frames, video_of_messages
from fleetlabel.engine.ingest.pictures import picture_fault, picture_part
from fleetlabel.engine.ingest.rig_schema import Encoding
from fleetlabel.engine.ingest.source import GroundTruth, SequenceSource, SourceFormat
from fleetlabel.engine.ingest.streams import Stream, frame_times, in_frames, in_order
from fleetlabel.engine.ingest.sweeps import Points, lidar_part
from fleetlabel.engine.ingest.transform_tree import TransformTree
from fleetlabel.engine.ingest.video import Video
from fleetlabel.engine.ingest.video_frames import video_part
from fleetlabel.engine.ingest.world import offset_of
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import CameraModel
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, Quarantined, SequenceInfo

_EGO_FRAMES = ("base_link", "ego_vehicle", "ego", "vehicle", "base_footprint")
_BODY_FROM_OPTICAL: F64 = se3.transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))
_ENDINGS = re.compile(
    r"(/(image|image_raw|image_color|image_rect\w*|compressed|compressed_video|video|points\w*))+$"
)


class McapLog(SourceFormat):
    """A folder of MCAP files."""

    name = "mcap"
    looks_for = "*.mcap files, of ROS 2 or Foxglove"
    file_suffix = ".mcap"

    def matches(self, path: Path) -> bool:
        """See the base class."""
        return any(path.glob("*.mcap"))

    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """See the base class."""
        if path.is_file():
            return (path.stem,)
        if (path / "metadata.yaml").exists():
            return (path.resolve().name if not path.name else path.name,)
        return tuple(sorted(file.stem for file in path.glob("*.mcap")))

    def open_sequence(self, path: Path, name: str) -> McapSequence:
        """See the base class."""
        if path.is_file():
            files = [path]
        elif (path / "metadata.yaml").exists():
            files = sorted(path.glob("*.mcap"), key=_by_number)
        else:
            files = [path / f"{name}.mcap"]
        state = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        return _opened(state, name)


class McapSequence(SequenceSource):
    """One drive in MCAP files."""

    def __init__(self, state: tuple[tuple[Path, int, int], ...], name: str) -> None:
        self._state = state
        found = Scan([McapFile(path) for path, _, _ in state])
        where = ", ".join(path.name for path, _, _ in state[:3])
        ego = _ego_frame(found.tree, found.odometry, where)
        trajectory, offset = _trajectory(found, ego, where)
        warnings = [
            *found.warnings,
            *found.tree.problems,
            *on_one_clock(found.channels, found.pose_delays_ns),
        ]
        sensors: list[Sensor] = []
        times: dict[str, Timeline] = {}
        self._channels: dict[str, Channel] = {}
        for topic, channel in sorted(found.channels.items()):
            try:
                sensor, notes = _sensor(channel, found, ego, {sensor.name for sensor in sensors})
            except SourceError as error:
                warnings.append(f"{topic} is left out: {error}")
                continue
            kept, dropped = in_reach(channel, trajectory)
            if dropped:
                notes.append(f"{dropped} messages of {topic} are far from all ego poses and are left out")
            warnings += notes
            if not kept.places:
                warnings.append(f"{topic} is left out: no message of it can be placed")
                continue
            times[sensor.name] = in_order(kept.times_ns, f"{where}, {topic}")
            self._channels[sensor.name] = kept
            sensors.append(sensor)
        if not sensors:
            raise SourceError(
                f"{where} has no sensor that can be placed. {'. '.join(warnings[:6]) or 'It is empty'}"
            )
        lidars = {sensor.name for sensor in sensors if sensor.kind is SensorKind.LIDAR}
        frame_ns = frame_times({name: found.timestamp_ns for name, found in times.items()}, lidars, where)
        require_reach(frame_ns, trajectory, where)
        self._streams: dict[str, Stream] = {}
        for sensor_name, found_times in times.items():
            faults = {**found_times.faults, **self._channels[sensor_name].faults}
            stream = in_frames(Timeline(found_times.timestamp_ns, faults), frame_ns, trajectory)
            self._streams[sensor_name] = stream
            if stream.homeless:
                warnings.append(
                    f"{stream.homeless} messages of {sensor_name} have no frame of their own and are left out"
                )
        self._videos: dict[str, Video] = {}
        self.warnings = tuple(warnings)
        topics = {sensor: channel.topic.name for sensor, channel in self._channels.items()}
        self.info = SequenceInfo(
            name=name,
            sensors=tuple(sensors),
            frame_timestamp_ns=frame_ns,
            trajectory=trajectory,
            world_offset_m=offset,
            source={
                "format": McapLog.name,
                "files": [path.name for path, _, _ in state],
                "topics": topics,
                "ego": ego,
            },
        )

    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """See the base class."""
        model, stream, channel = self.info.sensor(name).camera, self._streams[name], self._channels[name]
        if model is None:
            return lidar_part(lambda frame: self._points(name, frame), start, stop, stream.times)
        size = (model.width_px, model.height_px)
        if channel.video_format:
            video = self._video(name)
            shown = np.full(len(channel.places), -1, dtype=np.int64)
            shown[messages_of_frames(video)] = np.arange(len(video))
            rows = np.where(stream.sample >= 0, shown[stream.sample], -1)[start:stop]
            return video_part(video, rows, start, stream.times, size, Encoding.JPEG)
        return picture_part(lambda frame: self._picture(name, frame, size), start, stop, stream.times)

    def ground_truth(self) -> GroundTruth | None:
        """See the base class: messages carry none."""
        return None

    def _message(self, name: str, frame: int) -> tuple[Any, str] | None:
        """A frame's message and where it is, None where there is none.

        Raises:
            SourceError: it cannot be read.
        """
        sample = int(self._streams[name].sample[frame])
        if sample < 0:
            return None
        channel = self._channels[name]
        file, place = channel.places[sample]
        if sample in channel.faults:
            raise SourceError(channel.faults[sample])
        return file.read(place), f"{file.path}, {channel.topic.name} at {place.log_time_ns} ns"

    def _picture(self, name: str, frame: int, size_px: tuple[int, int]) -> tuple[bytes, str | None] | None:
        try:
            found = self._message(name, frame)
        except SourceError as error:
            return b"", str(error)
        if found is None:
            return None
        data = bytes(found[0].data)
        problem = picture_fault(data, size_px)
        return data, None if problem is None else f"{found[1]}: the picture {problem}; restore the file"

    def _points(self, name: str, frame: int) -> Points | None:
        found = self._message(name, frame)
        if found is None:
            return None
        return messages.points_of(found[0], int(self._streams[name].times.timestamp_ns[frame]), found[1])[0]

    def _video(self, name: str) -> Video:
        if name not in self._videos:
            channel = self._channels[name]
            identity = (
                self._state,
                channel.topic.name,
                [place for _, place in channel.places[:1]],
                len(channel.places),
            )
            where = f"{channel.places[0][0].path}, {channel.topic.name}"
            self._videos[name] = video_of_messages(
                identity, channel.video_format, _pictures_of(channel), where
            )
        return self._videos[name]


def _ego_frame(
    tree: TransformTree, odometry: dict[str, list[tuple[str, str, int, list[float]]]], where: str
) -> str:
    """The vehicle's frame; adds odometry to the tree where nothing else says how it moves."""
    children = sorted({rows[0][1].lstrip("/") or "base_link" for rows in odometry.values()})
    ego = next((name for name in (*_EGO_FRAMES, *children) if name in tree or name in children), None)
    if ego is None:
        raise SourceError(
            f"{where}: none of the frames {', '.join(tree.frames[:20]) or '(no transforms)'} is the vehicle's; "
            f"expected {', '.join(_EGO_FRAMES)}, or Odometry; record /tf, /tf_static and odometry"
        )
    if not tree.moving_above(ego):
        for _, rows in sorted(odometry.items()):
            if (rows[0][1].lstrip("/") or "base_link") == ego and tree.edge(ego) is None:
                for parent, _, time_ns, pose in rows:
                    tree.add(parent or "odom", ego, time_ns, pose)
                break
    return ego


def _trajectory(found: Scan, ego: str, where: str) -> tuple[Trajectory, F64]:
    paths = found.tree.moving_above(ego)
    if not paths:
        raise SourceError(
            f"{where}: nothing says where {ego} is over time; expected transforms from odom or map to {ego}, or "
            "Odometry; record them"
        )
    first = max(int(path.timestamp_ns[0]) for path in paths)
    last = min(int(path.timestamp_ns[-1]) for path in paths)
    times = np.unique(np.concatenate([path.timestamp_ns for path in paths]))
    times = times[(times >= first) & (times <= last)]
    if not len(times):
        raise SourceError(
            f"{where}: the transforms above {ego} were never there at the same time; record them all"
        )
    poses = se3.to_pose(found.tree.root_from(ego, times))
    offset = offset_of(poses)
    poses[:, :3] -= offset
    return Trajectory(times, poses), offset


def _sensor(channel: Channel, found: Scan, ego: str, taken: set[str]) -> tuple[Sensor, list[str]]:
    """The sensor of a topic, and what was noticed.

    Raises:
        SourceError: nobody says where it is, or how it is calibrated.
    """
    frame, notes = channel.frame_id, list[str]()
    if frame not in found.tree and frame != ego:
        raise SourceError(f"no transform says where its frame {frame!r} is; record /tf_static")
    place = found.tree.still_between(ego, frame)
    if place is None:
        raise SourceError(f"its frame {frame!r} is not fixed to {ego}")
    name = _ENDINGS.sub("", channel.topic.name).strip("/").replace("/", "_") or channel.topic.name.strip("/")
    name = name if name not in taken else channel.topic.name.strip("/").replace("/", "_")
    if channel.topic.type_name in messages.CLOUDS:
        return Sensor(name, SensorKind.LIDAR, place, motion_compensated=not channel.timed_points), notes
    camera = _calibration(channel, found)
    upright = abs(float(place[2, 2])) > 0.7 and abs(float(place[2, 1])) < 0.5
    if upright and "optical" not in frame:
        place = place @ _BODY_FROM_OPTICAL
        notes.append(
            f"{channel.topic.name}: frame {frame} has z up, so it is the camera's body and not its optical frame; it "
            "was turned"
        )
    return Sensor(name, SensorKind.CAMERA, place, camera), notes


def _calibration(channel: Channel, found: Scan) -> CameraModel:
    parts = channel.topic.name.split("/")

    def nearness(topic: str) -> tuple[int, bool]:
        shared = 0
        for one, other in zip(parts[:-1], topic.split("/")[:-1], strict=False):
            if one != other:
                break
            shared += 1
        return shared, found.calibrations[topic][0] == channel.frame_id

    beside = [t for t in found.calibrations if channel.topic.name.startswith(t.rsplit("/", 1)[0] + "/")]
    same = [t for t in found.calibrations if found.calibrations[t][0] == channel.frame_id]
    # Topics directly below the root are beside everything.
    beside = [topic for topic in beside if topic.count("/") > 1] or same
    if not beside:
        raise SourceError("there is no CameraInfo beside it or with its frame; record it")
    topic = max(sorted(beside), key=nearness)
    rectified = "rect" in channel.topic.name
    return messages.camera_of(found.calibrations[topic][1], rectified, topic)


def _pictures_of(channel: Channel) -> Iterator[bytes]:
    for file, place in channel.places:
        try:
            yield bytes(file.read(place).data)
        except SourceError:
            yield b""


@lru_cache(maxsize=4)
def _opened(state: tuple[tuple[Path, int, int], ...], name: str) -> McapSequence:
    """Files scanned once per process and state: every task opens its source again."""
    return McapSequence(state, name)


def _by_number(path: Path) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", path.stem)]
