"""KITTI object: one label file per picture, ``label_2/000012.txt``, with ``calib/000012.txt`` beside.

Its rows are the tracking benchmark's without frame and identity; truncation is a share, 0 to 1. Files with a score as
16th column are a detector's results, the form in which most 3D detectors write theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fleetlabel.engine.exchange.contract import Block, Reading, WritableFormat
from fleetlabel.engine.exchange.kitti_text import (
    KittiParser,
    carries,
    format_calib,
    formatted,
    row_blocks,
    told,
)
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.exchange.rows import camera_in, frame_in
from fleetlabel.engine.exchange.writing import new_folder, new_text
from fleetlabel.engine.ingest.large_files import label_files, lines
from fleetlabel.model.errors import SourceError


class KittiObjectLabels(WritableFormat):
    """Labels and results of KITTI's object benchmark."""

    name = "kitti-object"
    title = "KITTI object"
    looks_for = "<frame>.txt in the folder, in label_2/, or in <sequence>/<camera>/label_2/"
    carries = carries("exact, but that below 0 means unknown")

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        found = []
        for camera in labels.cameras:
            folder, left_out = out / labels.drive.file_name / camera, Counter[str]()
            new_folder(folder / "label_2")
            calib, n_rows = object_calibration(labels.drive, camera), 0
            for rows in row_blocks(labels, camera, left_out):
                n_rows += len(rows)
                frames = np.unique(rows.frame)
                ptr = np.searchsorted(rows.frame, [*frames, labels.n_frames]).tolist()
                for frame, low, high in zip(frames.tolist(), ptr, ptr[1:], strict=False):
                    mine = rows.take(slice(low, high))
                    cut = np.where(np.isfinite(mine.truncation), mine.truncation, -1.0)
                    with new_text(folder / "label_2" / f"{frame:06d}.txt") as file:
                        file.write(formatted(mine, [""] * len(mine), cut, labels.scored))
                    with new_text(folder / "calib" / f"{frame:06d}.txt") as file:
                        file.write(calib)
            found += [f"{folder}: {n_rows} rows", *told(labels.drive, camera, left_out)]
        return found

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = sorted((path / reading.drive.file_name).glob("*/label_2"))
        for folder in own or self._folders(path):
            files = (
                sorted(folder.glob("*.txt")) if own else label_files(folder, "*.txt", "KITTI object labels")
            )
            parser = KittiParser(reading, camera_in(f"{folder.parent.name}/", reading))
            for file in files:
                frame = frame_in(file.name)
                if frame is None:
                    raise SourceError(f"{file} is not named after a frame, like 000012.txt; move it away")
                for number, line in lines(file):
                    parser.add(f"{file} line {number}", frame, -1, line.split())
                if parser.full():
                    yield from parser.blocks()
            yield from parser.blocks()

    def _folders(self, path: Path) -> list[Path]:
        found = [folder for folder in [*path.glob("label_2"), *path.glob("*/label_2")] if folder.is_dir()]
        return sorted(found) or [path]


def object_calibration(drive: Drive, camera: str) -> str:
    """The text of a picture's calibration file: the tracking benchmark's matrices under the names of this one."""
    names = {"R_rect": "R0_rect:", "Tr_velo_cam": "Tr_velo_to_cam:", "Tr_imu_velo": "Tr_imu_to_velo:"}
    rows = (line.split(" ", 1) for line in format_calib(drive, camera).splitlines())
    return "".join(f"{names.get(name, name)} {values}\n" for name, values in rows)
