"""What a sensor of a rig folder measured when, and in which frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline, timeline
from fleetlabel.engine.ingest.numbered import MAX_FRAMES
from fleetlabel.engine.ingest.rig_frames import frames_of
from fleetlabel.engine.ingest.rig_paths import PICTURES, POINTS, VIDEOS, data_files, inside, require_inside
from fleetlabel.engine.ingest.rig_problems import Problem, RigError
from fleetlabel.engine.ingest.rig_schema import RIG_FILE, CameraEntry, LidarEntry
from fleetlabel.engine.ingest.rig_tables import SampleTable, read_samples
from fleetlabel.engine.ingest.video import Video, open_video
from fleetlabel.geometry.arrays import I32, I64


@dataclass(frozen=True, slots=True, eq=False)
class SensorSamples:
    """All samples of a sensor, in order.

    Attributes:
        times_ns: (N,) int64; where the log's time cannot be, a guess that is in order.
        faults: sample -> why it must not be used.
        files: (N,) file of each sample, None where it has none; None for a video.
        video: the video, sample i being its frame i.
        frame: (N,) int64 frame of each sample; None: by time.
        dropped_points: (N,) int32.
        where: the file with the times, for messages.
    """

    times_ns: I64
    faults: dict[int, str]
    files: Sequence[Path | None] | None
    video: Video | None
    frame: I64 | None
    dropped_points: I32
    where: Path


@dataclass(frozen=True, slots=True, eq=False)
class SensorFrames:
    """A sensor's samples by frame.

    Attributes:
        times: of every frame; where the sensor has no sample, the frame's own.
        sample: (F,) int64 sample of each frame, -1 none.
        files: file of each sample; None for a video.
        video: the video.
        dropped_points: (F,) int32.
    """

    times: Timeline
    sample: I64
    files: Sequence[Path | None] | None
    video: Video | None
    dropped_points: I32

    def path(self, frame: int) -> Path | None:
        """The file of a frame, None where the sensor has none."""
        sample = int(self.sample[frame])
        return None if sample < 0 or self.files is None else self.files[sample]

    def at_times(self, times: Timeline) -> SensorFrames:
        """The same with other times."""
        return dataclasses.replace(self, times=times)


def sensor_samples(folder: Path, entry: CameraEntry | LidarEntry, field: str) -> SensorSamples:
    """The samples that an entry of ``rig.yaml`` describes.

    Raises:
        SourceError: data or times are not there, do not fit together, or cannot be read.
    """
    endings = PICTURES if isinstance(entry, CameraEntry) else POINTS
    video = _video(folder, entry, field)
    table = None
    where = folder / RIG_FILE
    if entry.timestamps is not None:
        where = inside(folder, entry.timestamps, f"{field}.timestamps")
        require_inside(folder, where, f"{field}.timestamps")
        table = read_samples(where)
    if video is not None:
        return _of_video(video, table, entry, where, field)
    if table is not None and table.files is not None:
        base = inside(folder, entry.data, f"{field}.data")
        files = _listed(base, table.files, where)
    else:
        files = list(data_files(folder, entry.data, endings, f"{field}.data"))
    if table is None:
        table = SampleTable(_by_rule(entry, len(files), folder, field))
    if len(files) != len(table):
        expected, found = f"as many times as files in {entry.data} ({len(files)})", f"{len(table)}"
        remedy = "give one time per file, or name each row's file in a column `file`"
        raise RigError([Problem(where, f"{field}.timestamps", expected, found, remedy)])
    return _in_order(table, files, None, where)


def sensor_frames(
    samples: SensorSamples, frame_ns: I64, folder: Path, name: str
) -> tuple[SensorFrames, list[Problem]]:
    """Samples by frame, and a warning where some find no frame of their own.

    Raises:
        RigError: the file gives a frame that the drive does not have, or two samples the same one.
    """
    n_frames = len(frame_ns)
    lost: list[Problem] = []
    if samples.frame is None:
        frame = frames_of(samples.times_ns, frame_ns)
        homeless = int((frame < 0).sum())
        if homeless:
            found = f"{homeless} of {len(frame)} samples of {name} without one, first sample {int(np.argmin(frame))}"
            remedy = "they are left out; take the fastest sensor as frames.reference"
            lost = [Problem(samples.where, "frames", "a frame for every sample", found, remedy, warning=True)]
    else:
        frame = samples.frame
        wrong = (frame < 0) | (frame >= n_frames)
        wrong[1:] |= frame[1:] <= frame[:-1]
        if wrong.any():
            row = int(wrong.argmax())
            expected = f"ascending frames from 0 to {n_frames - 1}, each once"
            raise RigError(
                [Problem(samples.where, f"frame, row {row}", expected, f"{frame[row]}", "correct the column")]
            )
    placed = np.flatnonzero(frame >= 0)
    sample = np.full(n_frames, -1, dtype=np.int64)
    sample[frame[placed]] = placed
    times = frame_ns.copy()
    times[frame[placed]] = samples.times_ns[placed]
    dropped = np.zeros(n_frames, dtype=np.int32)
    dropped[frame[placed]] = samples.dropped_points[placed]
    faults = {int(frame[row]): text for row, text in samples.faults.items() if frame[row] >= 0}
    return SensorFrames(Timeline(times, faults), sample, samples.files, samples.video, dropped), lost


def _video(folder: Path, entry: CameraEntry | LidarEntry, field: str) -> Video | None:
    if not isinstance(entry, CameraEntry) or Path(entry.data).suffix.lower() not in VIDEOS:
        return None
    path = inside(folder, entry.data, f"{field}.data")
    if path.is_dir():
        return None
    if not path.is_file():
        remedy = "put it there, or correct data"
        raise RigError([Problem(path, f"{field}.data", "a video file", "nothing", remedy)])
    require_inside(folder, path, f"{field}.data")
    video = open_video(path)
    if video.size_px != (entry.model.width_px, entry.model.height_px):
        expected, found = (
            f"{w}x{h} px" for w, h in ((entry.model.width_px, entry.model.height_px), video.size_px)
        )
        remedy = "correct model, or use the original video: a calibration is for pictures of one size"
        raise RigError([Problem(path, f"{field}.model", expected, found, remedy)])
    return video


def _of_video(
    video: Video, table: SampleTable | None, entry: CameraEntry | LidarEntry, where: Path, field: str
) -> SensorSamples:
    if table is None:
        assert entry.clock is not None
        rule = entry.clock.rate_hz
        times = video.times_ns() + entry.clock.start_ns if rule is None else None
        table = SampleTable(_at_rate(entry.clock.start_ns, rule, len(video)) if times is None else times)  # type: ignore[arg-type]
    if table.files is not None:
        found, remedy = "a column `file`", "drop the column: row i is the video's frame i"
        raise RigError([Problem(where, f"{field}.timestamps", "the times of a video", found, remedy)])
    if len(table) != len(video):
        expected, found = (
            f"one time for each of the {len(video)} frames of {video.path.name}",
            f"{len(table)}",
        )
        remedy = "give one time per frame of the video, in the order in which they are shown"
        raise RigError([Problem(where, f"{field}.timestamps", expected, found, remedy)])
    return _in_order(table, None, video, where)


def _by_rule(entry: CameraEntry | LidarEntry, count: int, folder: Path, field: str) -> I64:
    assert entry.clock is not None
    if entry.clock.rate_hz is None:
        found, remedy = "only start_ns", "give the rate, or a file of timestamps"
        raise RigError([Problem(folder / RIG_FILE, f"{field}.clock.rate_hz", "a rate", found, remedy)])
    return _at_rate(entry.clock.start_ns, entry.clock.rate_hz, count)


def _at_rate(start_ns: int, rate_hz: float, count: int) -> I64:
    period = 1_000_000_000 / Fraction(str(rate_hz))
    return np.array([start_ns + round(row * period) for row in range(count)], dtype=np.int64)


def _listed(base: Path, files: Sequence[str], where: Path) -> list[Path | None]:
    for row, file in enumerate(files):
        if file.startswith("/") or "\0" in file or ".." in file.split("/"):
            expected = f"a file below {base.name}"
            raise RigError(
                [Problem(where, f"file, row {row}", expected, repr(file), "copy the data into the folder")]
            )
    return [base / file if file else None for file in files]


def _in_order(
    table: SampleTable, files: Sequence[Path | None] | None, video: Video | None, where: Path
) -> SensorSamples:
    """Samples with times in ascending order: what is not gets a guess and a fault."""
    count = len(table)
    if not count or count >= MAX_FRAMES:
        raise RigError(
            [Problem(where, "", f"between 1 and {MAX_FRAMES} samples", f"{count}", "restore the file")]
        )
    times, faults = table.timestamp_ns, dict(table.faults)
    known = (
        np.array([file is not None for file in files])
        if files is not None
        else np.ones(count, dtype=np.bool_)
    )
    known[list(faults)] = False
    measured = times[known]
    if (measured[1:] <= measured[:-1]).any():
        mended = timeline(times.tolist(), known, str(where))
        # What is no sample, or is set aside already, keeps the time that the file gives.
        times = np.where(known, mended.timestamp_ns, times)
        faults |= mended.faults
    dropped = (
        np.zeros(count, dtype=np.int32)
        if table.dropped_points is None
        else table.dropped_points.astype(np.int32)
    )
    return SensorSamples(times, faults, files, video, table.frame, dropped, where)
