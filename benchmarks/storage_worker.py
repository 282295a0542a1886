"""One way to keep a drive, in a process of its own: told what to do by ``storage.py``, a line of JSON at a time.

    python benchmarks/storage_worker.py NAME

Every contender packs the same pictures and sweeps and gives them back; what it needs is imported by its own class, so
that each runs in the environment that has it. The clock runs here, around the work alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from storage_contenders import FleetLabel, WebDatasetTar, ZarrDefaults
from storage_drive import Drive, Files
from storage_ncore import NCore, NCoreDirect, NCoreFolder, NCoreFolderDirect, NCoreRays

CONTENDERS: dict[str, Any] = {
    "fleetlabel": FleetLabel,
    "ncore itar": NCore,
    "ncore itar, metadata not gathered": NCoreDirect,
    "ncore folder": NCoreFolder,
    "ncore folder, metadata not gathered": NCoreFolderDirect,
    "ncore itar, rays": NCoreRays,
    "zarr-python": ZarrDefaults,
    "webdataset tar": WebDatasetTar,
    "plain files": Files,
}
"""Names by which ``storage.py`` starts them."""


class Work:
    """What can be timed. Seeds make all contenders read the same frames in the same order."""

    def __init__(self, contender: Any) -> None:
        self._contender = contender

    def write(self, source: str, folder: str) -> dict[str, Any]:
        """Packs a drive that is in memory, and waits until it is on the disk."""
        drive = Drive.load(Path(source))
        start = time.perf_counter()
        self._contender.write(Path(folder), drive)
        if self._contender is not FleetLabel:  # which has done that
            sync_all(Path(folder))
        return {"seconds": time.perf_counter() - start, "bytes": size_of(Path(folder))}

    def verify(self, source: str, folder: str) -> dict[str, Any]:
        """How far what comes out is from what went in, at random and in order."""
        drive, reader = Drive.load(Path(source)), self._contender(Path(folder))
        off = {"points": 0.0, "time_ns": 0.0}
        for camera, jpegs in drive.jpegs.items():
            expected = [hashlib.sha256(jpeg).digest() for jpeg in jpegs]
            for found in (reader.jpegs(camera), (reader.jpeg(camera, f) for f in range(len(jpegs)))):
                if [hashlib.sha256(jpeg).digest() for jpeg in found] != expected:
                    raise SystemExit(f"{camera}: other pictures come out than went in")
        for lidar, sweeps in drive.sweeps.items():
            for found in (reader.sweeps(lidar), (reader.sweep(lidar, f) for f in range(len(sweeps)))):
                for (points, times), columns in zip(sweeps, found, strict=True):
                    got, got_ns = reader.points(columns)
                    off["points"] = max(off["points"], float(np.abs(got - points).max()))
                    if len(got_ns):
                        off["time_ns"] = max(off["time_ns"], float(np.abs(got_ns - times).max()))
        reader.close()
        return off

    def open(self, folder: str, count: int, seed: int, cold: bool) -> dict[str, Any]:
        """Opens the drive and reads one picture, again and again."""
        seconds = 0.0
        draw = random.Random(seed)
        for _ in range(count):
            if cold:
                forget(Path(folder))
            start = time.perf_counter()
            reader = self._contender(Path(folder))
            reader.jpeg(draw.choice(sorted(reader.cameras)), draw.randrange(reader.n_frames))
            seconds += time.perf_counter() - start
            reader.close()
        return {"seconds": seconds, "count": count}

    def random(self, folder: str, count: int, seed: int, cold: bool) -> dict[str, Any]:
        """Pictures of any camera and frame, of a drive that is open."""
        return self._sample(folder, count, seed, cold, "cameras", "jpeg")

    def sweep(self, folder: str, count: int, seed: int, cold: bool) -> dict[str, Any]:
        """Sweeps of any lidar and frame, of a drive that is open."""
        return self._sample(folder, count, seed, cold, "lidars", "sweep")

    def _sample(self, folder: str, count: int, seed: int, cold: bool, kind: str, what: str) -> dict[str, Any]:
        reader = self._contender(Path(folder))
        sensors, read = getattr(reader, kind), getattr(reader, what)
        for sensor in sensors:
            read(sensor, 0)
        places = [(sensor, frame) for sensor in sorted(sensors) for frame in range(reader.n_frames)]
        chosen = random.Random(seed).sample(places, count)
        if cold:
            forget(Path(folder))
        start = time.perf_counter()
        for sensor, frame in chosen:
            read(sensor, frame)
        seconds = time.perf_counter() - start
        reader.close()
        return {"seconds": seconds, "count": count}

    def sequential(self, folder: str, count: int, seed: int, cold: bool) -> dict[str, Any]:
        """All pictures, camera by camera."""
        return self._all(folder, cold, "cameras", "jpegs")

    def sweeps(self, folder: str, count: int, seed: int, cold: bool) -> dict[str, Any]:
        """All sweeps, lidar by lidar."""
        return self._all(folder, cold, "lidars", "sweeps")

    def _all(self, folder: str, cold: bool, kind: str, what: str) -> dict[str, Any]:
        reader = self._contender(Path(folder))
        sensors, read = sorted(getattr(reader, kind)), getattr(reader, what)
        if cold:
            forget(Path(folder))
        start = time.perf_counter()
        found = sum(1 for sensor in sensors for _ in read(sensor))
        seconds = time.perf_counter() - start
        reader.close()
        return {"seconds": seconds, "count": found}


def files_below(folder: Path) -> list[Path]:
    """All files, however deep."""
    return [Path(path, name) for path, _, names in os.walk(folder) for name in names]


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in files_below(folder))


def sync_all(folder: Path) -> None:
    """Waits until all files and folders are on the disk."""
    for path in [*files_below(folder), *(Path(path) for path, _, _ in os.walk(folder))]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def forget(folder: Path) -> None:
    """Takes a folder's files out of the page cache."""
    for file in files_below(folder):
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def main() -> None:
    """Does what it is told until there is no more."""
    contender = CONTENDERS[sys.argv[1]]
    work = Work(contender)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever libraries print
    versions = {name: version(name) for name in contender.packages}
    print(json.dumps(versions), file=answers, flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        print(json.dumps(getattr(work, told.pop("what"))(**told)), file=answers, flush=True)


if __name__ == "__main__":
    main()
