"""A look at a whole rig folder: everything that is wrong with it, told at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from fleetlabel.engine.ingest.pictures import picture_fault
from fleetlabel.engine.ingest.point_files import DEFAULT_COLUMNS, read_points
from fleetlabel.engine.ingest.rig import frame_times, named, read_labels, sensor_of, trajectory_of
from fleetlabel.engine.ingest.rig_paths import require_inside
from fleetlabel.engine.ingest.rig_problems import Problem, RigError
from fleetlabel.engine.ingest.rig_samples import SensorSamples, sensor_frames, sensor_samples
from fleetlabel.engine.ingest.rig_schema import RIG_FILE, CameraEntry, LidarEntry, RigEntry, read_rig_file
from fleetlabel.engine.ingest.video import Video
from fleetlabel.geometry.arrays import I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError

_UNIT_WITHIN = 1e-3


def validate_rig(folder: Path) -> list[Problem]:
    """All that is wrong with a rig folder, errors before warnings; none if it can be read as it is.

    Metadata, times, poses and labels are read in full, and so are every sensor's first and last sample; of the other
    samples it is checked that the files are there and, where the size tells, whole.
    """
    entry, problems = read_rig_file(folder)
    if entry is not None:
        problems = list(_problems(folder, entry))
    return sorted(problems, key=lambda problem: problem.warning)


def _problems(folder: Path, entry: RigEntry) -> Iterator[Problem]:
    rig = folder / RIG_FILE
    names = [sensor.name for sensor in entry.sensors]
    if not names:
        yield Problem(rig, "cameras, lidars", "at least one sensor", "none", "describe the sensors")
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(rig, "name", "sensors of different names", f"{name} twice", "rename one")
    found: dict[str, SensorSamples] = {}
    for field, sensor in named(entry):
        yield from _calibration(folder, sensor, field)
        try:
            found[sensor.name] = sensor_samples(folder, sensor, field)
        except SourceError as error:
            yield from _told(error, rig, field)
            continue
        yield from _data(folder, sensor, found[sensor.name], field)
    yield from _times(folder, entry, found)


def _times(folder: Path, entry: RigEntry, found: dict[str, SensorSamples]) -> Iterator[Problem]:
    """Frames, poses and labels, as far as what they hang on could be read."""
    try:
        frame_ns = frame_times(folder, entry, {name: samples.times_ns for name, samples in found.items()})
    except SourceError as error:
        sensors = {sensor.name for sensor in entry.sensors}
        if entry.frames.reference is None or entry.frames.reference not in sensors:
            yield from _told(error, folder / RIG_FILE, "frames")
        return
    try:
        trajectory, offset, notes = trajectory_of(folder, entry, frame_ns)
        yield from notes
    except SourceError as error:
        yield from _told(error, folder / RIG_FILE, "poses")
    else:
        yield from _coverage(folder, trajectory, {"frames": frame_ns})
        yield from _coverage(
            folder, trajectory, {name: s.times_ns for name, s in found.items()}, warning=True
        )
        if entry.labels is not None:
            try:
                read_labels(folder, entry.labels, entry, frame_ns, offset)
            except SourceError as error:
                yield from _told(error, folder / RIG_FILE, "labels")
    for name, samples in found.items():
        try:
            yield from sensor_frames(samples, frame_ns, folder, name)[1]
        except SourceError as error:
            yield from _told(error, samples.where, name)


def _calibration(folder: Path, sensor: CameraEntry | LidarEntry, field: str) -> Iterator[Problem]:
    where = folder / RIG_FILE
    q_wxyz = sensor.ego_from_sensor.q_wxyz
    if q_wxyz is not None:
        norm = float(np.linalg.norm(q_wxyz))
        if abs(norm - 1) > _UNIT_WITHIN:
            remedy = "it is normalised; check that the order is w x y z"
            yield Problem(
                where, f"{field}.ego_from_sensor.q_wxyz", "a unit quaternion", f"length {norm:.6g}", remedy,
                warning=norm > _UNIT_WITHIN,
            )  # fmt: skip
            if norm <= _UNIT_WITHIN:
                return
    try:
        sensor_of(sensor, folder)
    except SourceError as error:
        yield from _told(error, where, field)


def _data(
    folder: Path, entry: CameraEntry | LidarEntry, samples: SensorSamples, field: str
) -> Iterator[Problem]:
    listed = dict(samples.faults)
    if listed:
        row, text = min(listed.items())
        remedy = "these samples are set aside; correct the times"
        yield Problem(
            samples.where, f"row {row}", "usable samples in ascending order",
            f"{len(listed)} that are not, the first: {text}", remedy, warning=True,
        )  # fmt: skip
    if isinstance(entry, CameraEntry) and samples.video is not None:
        yield from _video_samples(samples.video, entry, field)
        return
    files = [file for file in samples.files or () if file is not None]
    gone = [file for file in files if not file.exists()]
    if gone:
        found = f"{len(gone)} of {len(files)} missing, the first is {gone[0].name}"
        yield Problem(
            samples.where,
            f"{field}.data",
            "the files that it lists",
            found,
            "restore them, or empty their cells",
        )
    there = [
        (row, file) for row, file in enumerate(samples.files or ()) if file is not None and file.exists()
    ]
    for row, path in dict.fromkeys([*there[:1], *there[-1:]]):
        try:
            require_inside(folder, path, f"{field}.data")
            if isinstance(entry, CameraEntry):
                yield from _picture(path, entry, field)
            else:
                read_points(path, entry.columns, int(samples.times_ns[row]))
        except SourceError as error:
            yield from _told(error, path, field)
    if isinstance(entry, LidarEntry):
        yield from _lengths(entry, [file for _, file in there[1:-1]], field)


def _lengths(entry: LidarEntry, files: Sequence[Path], field: str) -> Iterator[Problem]:
    width = 4 * len(entry.columns or DEFAULT_COLUMNS)
    wrong = [
        file for file in files
        if file.stat().st_size == 0 or (file.suffix.lower() == ".bin" and file.stat().st_size % width)
    ]  # fmt: skip
    if wrong:
        expected = f"rows of {width} bytes" if wrong[0].suffix.lower() == ".bin" else "points"
        found = f"{wrong[0].stat().st_size} bytes, and so or empty in {len(wrong)} files"
        yield Problem(wrong[0], f"{field}.data", expected, found, "restore the files, or name their columns")


def _picture(path: Path, entry: CameraEntry, field: str) -> Iterator[Problem]:
    content = path.read_bytes()
    fault = picture_fault(content, (entry.model.width_px, entry.model.height_px))
    if fault is None and cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None:
        fault = "cannot be decoded"
    if fault is not None:
        size = f"a whole picture of {entry.model.width_px}x{entry.model.height_px} px"
        yield Problem(path, field, size, f"that it {fault}", "restore the picture, or correct model")


def _video_samples(video: Video, entry: CameraEntry, field: str) -> Iterator[Problem]:
    size = (entry.model.width_px, entry.model.height_px)
    for row in sorted({0, len(video) - 1}):
        for _, frame in video.frames(row, row + 1):
            if frame is None or frame.is_corrupt:
                yield Problem(
                    video.path,
                    f"{field}.data",
                    f"frame {row} to be whole",
                    "that it cannot be decoded",
                    "restore it",
                )
            elif (frame.width, frame.height) != size:
                found = f"{frame.width}x{frame.height} px in frame {row}"
                yield Problem(video.path, f"{field}.model", f"{size[0]}x{size[1]} px", found, "correct model")


def _coverage(
    folder: Path, trajectory: Trajectory, times: dict[str, I64], *, warning: bool = False
) -> Iterator[Problem]:
    slack = trajectory.max_extrapolation_ns
    low, high = int(trajectory.timestamp_ns[0]) - slack, int(trajectory.timestamp_ns[-1]) + slack
    for name, stamps in times.items():
        outside = (stamps < low) | (stamps > high)
        if outside.any():
            row = int(outside.argmax())
            found = f"{int(outside.sum())} of {len(stamps)} outside, the first is {row} at {stamps[row]} ns"
            expected = f"ego poses for all times of {name} (they reach from {low} to {high} ns)"
            remedy = "they are set aside; add poses, or check the clocks"
            yield Problem(folder / RIG_FILE, "poses", expected, found, remedy, warning=warning)


def _told(error: SourceError, where: Path, field: str) -> Iterator[Problem]:
    """The problems of an error, or the error as one."""
    if isinstance(error, RigError):
        yield from error.problems
    else:
        yield Problem(where, field, "data that can be read", str(error), "see there")
