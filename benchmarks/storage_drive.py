"""A drive that every contender of ``storage.py`` keeps, and the plainest way to keep it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

Columns = tuple[Any, ...]  # of one sweep: (P, 4) points and (P,) times, or what a format keeps of them


@dataclass
class Drive:
    """What is to be kept, in memory.

    Attributes:
        jpegs: camera -> files of its pictures.
        sweeps: lidar -> (P, 4) float32 points and (P,) int32 nanoseconds of each sweep.
        period_ns: between two frames.
    """

    jpegs: dict[str, list[bytes]]
    sweeps: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    period_ns: int = 100_000_000

    @classmethod
    def load(cls, folder: Path) -> Drive:
        """From a folder of plain files."""
        files = Files(folder)
        return cls(
            {name: [bytes(jpeg) for jpeg in files.jpegs(name)] for name in files.cameras},
            {name: list(files.sweeps(name)) for name in files.lidars},
        )

    @property
    def n_frames(self) -> int:
        """Frames, of which each sensor has a sample."""
        return len(next(iter(self.jpegs.values())))


class Reader:
    """A drive that was opened. Sequential access is frame by frame unless a format has something better."""

    cameras: tuple[str, ...]
    lidars: tuple[str, ...]
    n_frames: int

    def jpeg(self, camera: str, frame: int) -> bytes:
        """File of one picture."""
        raise NotImplementedError

    def sweep(self, lidar: str, frame: int) -> Columns:
        """One sweep, as the format gives it."""
        raise NotImplementedError

    def jpegs(self, camera: str) -> Iterable[Any]:
        """Files of all pictures in order, as bytes or views of them."""
        return (self.jpeg(camera, frame) for frame in range(self.n_frames))

    def sweeps(self, lidar: str) -> Iterable[Columns]:
        """All sweeps in order."""
        return (self.sweep(lidar, frame) for frame in range(self.n_frames))

    def points(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Points and times of what ``sweep`` gave, to be compared with what was put in."""
        return columns[0], columns[1]

    def close(self) -> None:
        """Lets go of files."""


class Files(Reader):
    """A file per picture, two per sweep."""

    packages: ClassVar = ("numpy",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        held = json.loads((folder / "drive.json").read_text())
        self.cameras, self.lidars = tuple(held["cameras"]), tuple(held["lidars"])
        self.n_frames = held["n_frames"]

    @staticmethod
    def write(folder: Path, drive: Drive) -> None:
        """One file after the other."""
        for name, jpegs in drive.jpegs.items():
            (folder / name).mkdir(parents=True)
            for frame, jpeg in enumerate(jpegs):
                (folder / name / f"{frame:06d}.jpg").write_bytes(jpeg)
        for name, sweeps in drive.sweeps.items():
            (folder / name).mkdir(parents=True)
            for frame, (points, times) in enumerate(sweeps):
                np.save(folder / name / f"{frame:06d}.points.npy", points)
                np.save(folder / name / f"{frame:06d}.times.npy", times)
        held = {"cameras": list(drive.jpegs), "lidars": list(drive.sweeps), "n_frames": drive.n_frames}
        (folder / "drive.json").write_text(json.dumps(held))

    def jpeg(self, camera: str, frame: int) -> bytes:
        """File of one picture."""
        return (self._folder / camera / f"{frame:06d}.jpg").read_bytes()

    def sweep(self, lidar: str, frame: int) -> Columns:
        """Points and times."""
        stem = f"{self._folder}/{lidar}/{frame:06d}"
        return np.load(f"{stem}.points.npy"), np.load(f"{stem}.times.npy")
