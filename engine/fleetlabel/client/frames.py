"""What the sensors of a sequence saw, from the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from fleetlabel.client.connection import Connection
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sensors import Sensor
from fleetlabel.v1 import frame_service_pb2 as pb
from fleetlabel.v1.frame_service_pb2_grpc import FrameServiceStub
from fleetlabel.wire.columns import column_of
from fleetlabel.wire.frames import range_message
from fleetlabel.wire.samples import LidarSample, Picture, picture_of, sweep_of
from fleetlabel.wire.sensors import Samples, samples_of, sensor_of, trajectory_of


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Times of frames and samples, and where the vehicle was.

    Attributes:
        n_frames: of the whole sequence.
        start, stop: frames that this tells of.
        frame_timestamp_ns: (F,) int64 reference time of each of them.
        trajectory: ego poses from before the first to after the last sample; None if there are no frames.
        sensors: times and states of samples, by sensor.
        world_offset_m: (3,) what was subtracted from the source's own world coordinates.
    """

    n_frames: int
    start: int
    stop: int
    frame_timestamp_ns: I64
    trajectory: Trajectory | None
    sensors: dict[str, Samples]
    world_offset_m: F64


class RemoteFrames:
    """Pictures, sweeps, times and places of one sequence."""

    def __init__(self, connection: Connection, sequence_id: str) -> None:
        self._connection = connection
        self._sequence_id = sequence_id
        self._stub = connection.stub(FrameServiceStub)
        # Left serialized: a picture is a view of its message.
        self._pictures = connection.stub(_unparsed_pictures)

    def calibration(self) -> tuple[Sensor, ...]:
        """Cameras and lidars with intrinsics and extrinsics."""
        request = pb.GetCalibrationRequest(sequence_id=self._sequence_id)
        answer = self._connection.call(self._stub.GetCalibration, request)
        return tuple(sensor_of(sensor, f"sensors[{i}]") for i, sensor in enumerate(answer.sensors))

    def timeline(self, start: int | None = None, stop: int | None = None) -> Timeline:
        """Times and places in the frames ``start:stop``, all by default."""
        request = pb.GetTimelineRequest(sequence_id=self._sequence_id, frames=range_message(start, stop))
        answer = self._connection.call(self._stub.GetTimeline, request)
        n = answer.stop_frame - answer.start_frame
        return Timeline(
            n_frames=answer.n_frames,
            start=answer.start_frame,
            stop=answer.stop_frame,
            frame_timestamp_ns=column_of(
                answer.frame_timestamp_ns_i64, "frame_timestamp_ns_i64", np.int64, n
            ),
            trajectory=trajectory_of(answer.trajectory) if answer.HasField("trajectory") else None,
            sensors={each.sensor: samples_of(each) for each in answer.sensors},
            world_offset_m=np.array(answer.world_offset_m or [0.0, 0.0, 0.0]),
        )

    def pictures(
        self, cameras: Sequence[str] = (), start: int | None = None, stop: int | None = None
    ) -> Iterator[Picture]:
        """Pictures of the frames ``start:stop`` (all by default), frame by frame, then in the order of cameras.

        Args:
            cameras: by name; all of them by default.
        """

        def request(first: int | None) -> pb.StreamPicturesRequest:
            frames = range_message(first, stop)
            return pb.StreamPicturesRequest(sequence_id=self._sequence_id, cameras=cameras, frames=frames)

        return self._samples(self._pictures, request, picture_of, start, stop)

    def sweeps(
        self, lidars: Sequence[str] = (), start: int | None = None, stop: int | None = None
    ) -> Iterator[LidarSample]:
        """Sweeps of the frames ``start:stop`` (all by default), frame by frame, then in the order of lidars."""

        def request(first: int | None) -> pb.StreamSweepsRequest:
            frames = range_message(first, stop)
            return pb.StreamSweepsRequest(sequence_id=self._sequence_id, lidars=lidars, frames=frames)

        return self._samples(self._stub.StreamSweeps, request, sweep_of, start, stop)

    def _samples(
        self,
        method: Callable[..., Any],
        request: Callable[[int | None], Any],
        decode: Callable[[Any], Any],
        start: int | None,
        stop: int | None,
    ) -> Iterator[Any]:
        """Samples in order; after the line broke, those that were sent twice are left out."""
        frame, seen, skip = start, 0, 0

        def ask() -> Any:
            nonlocal skip
            skip = seen
            return request(frame)

        for message in self._connection.stream(method, ask):
            sample = decode(message)
            if sample.frame != frame:
                frame, seen, skip = sample.frame, 0, 0
            if skip:
                skip -= 1
                continue
            seen += 1
            yield sample


def _unparsed_pictures(channel: grpc.Channel) -> Any:
    serialize = pb.StreamPicturesRequest.SerializeToString
    return channel.unary_stream("/fleetlabel.v1.FrameService/StreamPictures", serialize)
