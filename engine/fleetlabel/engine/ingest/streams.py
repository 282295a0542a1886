"""Sensors that run at rates of their own, put into the frames of one drive.

The fastest sensor makes the frames, the lidar of several that are as fast: so no sensor has two samples in one frame.
Where it pauses, and where others began earlier or ended later, frames go on at its rate.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline, timeline, within_reach
from fleetlabel.engine.ingest.numbered import MAX_FRAMES
from fleetlabel.engine.ingest.rig_frames import frames_of
from fleetlabel.geometry.arrays import I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError

# Of several sensors, one counts as faster than another if it has this many times the samples.
_FASTER = 1.25
_PAUSE = 1.75  # periods


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A sensor's samples by frame.

    Attributes:
        times: of every frame; where the sensor has no sample, the frame's own.
        sample: (F,) int64 row of the sensor's samples, -1 none.
        homeless: samples that found no frame.
    """

    times: Timeline
    sample: I64
    homeless: int


def frame_times(samples_ns: Mapping[str, I64], lidars: Collection[str], where: str) -> I64:
    """Times (F,) of a drive's frames.

    Args:
        samples_ns: sensor -> (N,) times of its samples, ascending.
        lidars: which of them are lidars.
        where: the drive, for messages.

    Raises:
        SourceError: there is no sample, or they span more time than a drive takes.
    """
    most = max((len(times) for times in samples_ns.values()), default=0)
    if not most:
        raise SourceError(f"{where} has no picture and no sweep; restore it from the original log")
    fast = [name for name, times in samples_ns.items() if len(times) * _FASTER >= most]
    name = min(fast, key=lambda name: (name not in lidars, -len(samples_ns[name]), name))
    times = samples_ns[name]
    period = int(np.median(np.diff(times))) if len(times) > 1 else 100_000_000
    first = min(int(other[0]) for other in samples_ns.values() if len(other))
    last = max(int(other[-1]) for other in samples_ns.values() if len(other))
    if (last - first) / period >= MAX_FRAMES:
        raise SourceError(
            f"{where}: its samples span {(last - first) / 1e9:.0f} s at {1e9 / period:.3g} Hz, from {first} to "
            f"{last} ns, more than any drive; a timestamp is wrong, so restore it from the original log"
        )
    pieces: list[I64] = []
    for pause in np.flatnonzero(np.diff(times) > _PAUSE * period):
        steps = round(int(times[pause + 1] - times[pause]) / period)
        pieces.append(np.linspace(times[pause], times[pause + 1], steps + 1)[1:-1].astype(np.int64))
    before, after = (int(times[0]) - first) // period, (last - int(times[-1])) // period
    pieces += [
        times[0] - period * np.arange(before, 0, -1),
        times,
        times[-1] + period * np.arange(1, after + 1),
    ]
    return np.unique(np.concatenate(pieces)).astype(np.int64)


def in_order(times_ns: Sequence[int | None], where: str) -> Timeline:
    """A sensor's times, the fewest samples blamed for not being in order; see :func:`clocks.timeline`."""
    return timeline(times_ns, np.ones(len(times_ns), dtype=np.bool_), where)


def in_frames(samples: Timeline, frame_ns: I64, trajectory: Trajectory) -> Stream:
    """A sensor's samples in the frames of a drive; what is too far from all ego poses is a fault."""
    frame = frames_of(samples.timestamp_ns, frame_ns)
    placed = np.flatnonzero(frame >= 0)
    sample = np.full(len(frame_ns), -1, dtype=np.int64)
    sample[frame[placed]] = placed
    times = frame_ns.copy()
    times[frame[placed]] = samples.timestamp_ns[placed]
    faults = {int(frame[row]): text for row, text in samples.faults.items() if frame[row] >= 0}
    mended = within_reach(Timeline(times, faults), trajectory, frame_ns)
    return Stream(mended, sample, len(frame) - len(placed))


def frame_of_time(time_ns: I64, stream: Stream, frame_ns: I64) -> I64:
    """Frame (N,) of labels that hold at times (N,): where the stream has a sample of that time, else the nearest."""
    taken = np.flatnonzero(stream.sample >= 0)
    sampled = stream.times.timestamp_ns[taken]
    nearest = np.clip(np.searchsorted(frame_ns, time_ns), 1, max(len(frame_ns) - 1, 1))
    nearest = np.where(
        time_ns - frame_ns[nearest - 1] <= np.abs(frame_ns[np.minimum(nearest, len(frame_ns) - 1)] - time_ns),
        nearest - 1,
        np.minimum(nearest, len(frame_ns) - 1),
    )
    if not len(taken):
        return nearest.astype(np.int64)
    at = np.minimum(np.searchsorted(sampled, time_ns), len(sampled) - 1)
    return np.where(sampled[at] == time_ns, taken[at], nearest).astype(np.int64)
