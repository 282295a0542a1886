"""A drive streamed to the engine, from a client that shares no files with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sensors import Sensor
from fleetlabel.v1 import sequence_service_pb2 as pb
from fleetlabel.wire.columns import column_bytes
from fleetlabel.wire.samples import LidarSample, Picture, sweep_message
from fleetlabel.wire.sensors import sensor_message, trajectory_message


def header(
    request_id: str,
    sequence_id: str,
    sensors: Iterable[Sensor],
    frame_timestamp_ns: I64,
    trajectory: Trajectory | None,
    world_offset_m: F64 | None,
    name: str,
    vehicle: str,
) -> pb.UploadHeader:
    """What comes first: the drive's description."""
    return pb.UploadHeader(
        request_id=request_id,
        sequence_id=sequence_id,
        name=name,
        vehicle=vehicle,
        sensors=[sensor_message(sensor) for sensor in sensors],
        frame_timestamp_ns_i64=column_bytes(frame_timestamp_ns),
        trajectory=None if trajectory is None else trajectory_message(trajectory),
        world_offset_m=() if world_offset_m is None else world_offset_m.tolist(),
    )


def requests(
    first: pb.UploadHeader,
    samples: Iterable[Picture | LidarSample],
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[pb.UploadSequenceRequest]:
    """Header, samples, commit; ``on_progress`` is told samples and bytes that were handed over."""
    pictures = sweeps = sent_bytes = 0
    yield pb.UploadSequenceRequest(header=first)
    for sample in samples:
        if isinstance(sample, Picture):
            pictures += 1
            message = pb.UploadSequenceRequest(
                picture=pb.UploadedPicture(
                    camera=sample.camera,
                    frame=sample.frame,
                    timestamp_ns=sample.timestamp_ns,
                    picture=sample.data,
                )
            )
        else:
            sweeps += 1
            same = sweep_message(sample)
            message = pb.UploadSequenceRequest(
                sweep=pb.UploadedSweep(
                    lidar=same.lidar,
                    frame=same.frame,
                    timestamp_ns=same.timestamp_ns,
                    points_xyzi_f32=same.points_xyzi_f32,
                    point_time_offset_ns_i32=same.point_time_offset_ns_i32,
                )
            )
        sent_bytes += message.ByteSize()
        yield message
        if on_progress is not None:
            on_progress(pictures + sweeps, sent_bytes)
    yield pb.UploadSequenceRequest(commit=pb.UploadCommit(pictures=pictures, sweeps=sweeps))
