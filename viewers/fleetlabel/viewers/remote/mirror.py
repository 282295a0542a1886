"""What does not change of an engine's sequence, as a store on this machine: sensors, times, label versions.

Pictures and sweeps are not in it; they are fetched as they are looked at. A mirror is named after what it holds, so
that a drive that was replaced on the engine gets another one, and it can be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fleetlabel.client import RemoteSequence, Timeline
from fleetlabel.geometry.arrays import I64, AnyArray
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceInfo, SequenceStore
from fleetlabel.wire.sensors import sensor_message


class Mirror:
    """See the module.

    Attributes:
        store: on this machine.
        timeline: times and states of all samples.
    """

    def __init__(self, folder: Path, sequence: RemoteSequence) -> None:
        """Makes the mirror, or opens it.

        Raises:
            FleetLabelError: the engine does not answer, or has no such sequence.
        """
        entry = sequence.describe()
        self.timeline = sequence.frames.timeline()
        if self.timeline.trajectory is None:
            raise SourceError(f"{sequence.sequence_id} has no frames to look at")
        sensors = sequence.frames.calibration()
        info = SequenceInfo(
            entry.name,
            sensors,
            self.timeline.frame_timestamp_ns,
            self.timeline.trajectory,
            self.timeline.world_offset_m,
        )
        self._sequence = sequence
        self._folder = folder
        versions = sequence.labels.versions()
        created_ns = [version.created_ns for version in versions if version.base is None]
        root = folder / f"mirror-{_digest(info, sensors, self.timeline, created_ns[:1])}.zarr"
        with _alone(folder):
            if root.exists():
                self.store = SequenceStore.open(root)
            else:
                self.store = SequenceStore.create(root, info)
        self._write_times(sensors)

    def fetch_labels(self, name: str) -> None:
        """Has a label version that people begin with in the mirror."""
        with _alone(self._folder):
            if name in self.store.label_versions():
                return
            version = next(v for v in self._sequence.labels.versions() if v.name == name)
            labels = self._sequence.labels.at(name)
            self.store.write_labels(
                name,
                {camera: labels.boxes2d(camera) for camera in version.cameras},
                labels.boxes3d() if version.has_boxes3d else None,
                class_names=version.class_names,
                provenance={"mirrored": self._sequence.sequence_id},
            )

    def _write_times(self, sensors: tuple[Sensor, ...]) -> None:
        """Cameras' times of exposure, by which boxes in pictures are solved; their pictures are left empty."""
        with _alone(self._folder):
            for sensor in sensors:
                samples = self.timeline.sensors.get(sensor.name)
                if sensor.kind is not SensorKind.CAMERA or samples is None:
                    continue
                table = self.store.sensor_table(sensor.name)
                if not table.missing():
                    continue
                n = len(samples.status)
                columns: dict[str, AnyArray] = {
                    "timestamp_ns": samples.timestamp_ns.copy(),
                    "status": samples.status.copy(),
                }
                nothing = {"jpeg": np.zeros(0, dtype=np.uint8)}
                table.write(0, Part(columns, np.zeros(n, dtype=np.int64), nothing))


def sample_state(timeline: Timeline, sensor: str, frame: int) -> tuple[int, SampleStatus, str]:
    """When a sensor's sample was taken, what there is of it, and why there is nothing, in words."""
    samples = timeline.sensors.get(sensor)
    if samples is None:
        return int(timeline.frame_timestamp_ns[frame]), SampleStatus.MISSING, "not ingested"
    status = SampleStatus(int(samples.status[frame]))
    problem = {
        SampleStatus.MISSING: "no picture at this frame",
        SampleStatus.QUARANTINED: samples.quarantined.get(frame, "picture quarantined"),
    }.get(status, "")
    return int(samples.timestamp_ns[frame]), status, problem


def _digest(
    info: SequenceInfo, sensors: tuple[Sensor, ...], timeline: Timeline, created_ns: list[int]
) -> str:
    digest = hashlib.sha256(info.name.encode())
    for sensor in sensors:
        digest.update(sensor_message(sensor).SerializeToString(deterministic=True))
    times: list[I64] = [samples.timestamp_ns for samples in timeline.sensors.values()]
    for array in (info.frame_timestamp_ns, info.trajectory.world_from_ego, np.array(created_ns), *times):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other app on this machine makes mirrors here meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "mirror.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
