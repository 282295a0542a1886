"""Making a whole drive with several processes: into a rig folder, or straight into a store.

A task makes one sensor's pictures or sweeps of a few frames, writes them, and gives back the truth that came out of
the same rays. Tasks go along the drive, so that processes meet the same stretch of the world; what they hold is what
is near the vehicle, and what they give back is some kilobytes a frame.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from fleetlabel.engine.ingest.rig_writer import RigWriter
from fleetlabel.engine.ingest.source import write_ground_truth
from fleetlabel.engine.synth.drive import Notes, SyntheticDrive, open_drive
from fleetlabel.engine.synth.drive_config import SynthConfig
from fleetlabel.store import Part, SequenceStore

_FRAMES_PER_TASK = 8
_AHEAD = 2  # tasks waiting per process: none idles, and an interrupt has little to wait for

OnRange = Callable[[str, int, int], None]


def write_drive(
    config: SynthConfig,
    folder: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_range: OnRange | None = None,
) -> SyntheticDrive:
    """Makes a drive as a rig folder, which is there once it is complete.

    Args:
        workers: processes.
        overwrite: whether a rig folder that is there is replaced at the end.
        on_range: is told sensor, start and stop of every range written.

    Raises:
        UsageError: something is there already, or a fault does not fit the vehicle.
    """
    drive = SyntheticDrive(config)
    writer = RigWriter.create(folder, drive.info, overwrite=overwrite)
    try:
        _make(drive, writer, workers, on_range)
        writer.finish(drive.ground_truth())
    except BaseException:
        writer.abandon()
        raise
    return drive


def stream_drive(
    config: SynthConfig,
    root: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_range: OnRange | None = None,
) -> SyntheticDrive:
    """Makes a drive as a store, as if it had been ingested; for drives that need not be looked at as files.

    Raises:
        StoreExistsError: something is there already, and it is not to be overwritten or is no store.
        UsageError: a fault does not fit the vehicle.
    """
    drive = SyntheticDrive(config)
    if overwrite:
        SequenceStore.remove(root)
    store = SequenceStore.create(root, drive.info)
    with store.writer_lock():
        _make(drive, _StoreWriter(root), workers, on_range)
        write_ground_truth(store, drive)
    return drive


class _Writer(Protocol):
    """Takes a drive's ranges, in any order, in any process."""

    def write_sensor_range(self, name: str, start: int, part: Part) -> None:
        """Writes a sensor's frames from ``start`` on."""


@dataclass(frozen=True, slots=True)
class _StoreWriter:
    root: Path

    def write_sensor_range(self, name: str, start: int, part: Part) -> None:
        SequenceStore.open(self.root).sensor_table(name).write(start, part)


def _make(drive: SyntheticDrive, writer: _Writer, workers: int, on_range: OnRange | None) -> None:
    """Writes all of a drive's data; the drive knows its truth afterwards."""
    n_frames = drive.info.n_frames
    ranges = iter(
        (sensor.name, start, min(start + _FRAMES_PER_TASK, n_frames))
        for start in range(0, n_frames, _FRAMES_PER_TASK)
        for sensor in drive.info.sensors
    )
    # Not forked: threads of the ray caster and of numba do not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        running: dict[Future[Notes], tuple[str, int, int]] = {}
        try:
            while True:
                for made in islice(ranges, workers * (1 + _AHEAD) - len(running)):
                    running[executor.submit(_make_range, drive.config, writer, *made)] = made
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    made = running.pop(future)
                    drive.take_notes(future.result())
                    if on_range is not None:
                        on_range(*made)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _make_range(config: SynthConfig, writer: _Writer, name: str, start: int, stop: int) -> Notes:
    drive = open_drive(config)
    part, _ = drive.read_sensor(name, start, stop)
    writer.write_sensor_range(name, start, part)
    return drive.give_notes()
