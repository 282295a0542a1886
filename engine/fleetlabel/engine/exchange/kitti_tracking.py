"""KITTI tracking: ``label_02``, ``calib``, ``ego_pose`` and the sequence map that TrackEval reads.

Labels of one camera go straight into the folder, of several into a folder per camera. TrackEval takes such
a folder as ground truth (``GT_FOLDER``) and, as a tracker with ``TRACKER_SUB_FOLDER`` ``label_02``, as
results; machine-made labels have a score as 18th column. Frames count from 0.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fleetlabel.engine.exchange.contract import Block, Reading, WritableFormat
from fleetlabel.engine.exchange.kitti_text import (
    KittiParser,
    carries,
    format_calib,
    formatted,
    row_blocks,
    told,
)
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.rows import camera_in
from fleetlabel.engine.exchange.writing import new_text, refuse_existing
from fleetlabel.engine.ingest.large_files import label_files, lines
from fleetlabel.model.errors import SourceError

_SEQMAP = "evaluate_tracking.seqmap.training"


class KittiTrackingLabels(WritableFormat):
    """Labels and results of KITTI's tracking benchmark."""

    name = "kitti"
    title = "KITTI tracking"
    looks_for = "label_02/<sequence>.txt, straight in the folder or in one per camera; or one such file"
    carries = carries("graded 0, 1, 2", "track_id")

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        cameras, found = labels.cameras, []
        for camera in cameras:
            found += self._write_camera(labels, camera, out if len(cameras) == 1 else out / camera)
        return found

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        name = reading.drive.file_name
        files = [path] if path.is_file() else [*path.glob(f"label_02/{name}.txt")]
        files += (
            [] if files else label_files(path, f"*/label_02/{name}.txt", f"KITTI labels of sequence {name}")
        )
        for file in files:
            folder = file.parent.parent.name if path != file else ""
            parser = KittiParser(reading, camera_in(f"{folder}/", reading))
            for number, line in lines(file):
                where, fields = f"{file} line {number}", line.split()
                if len(fields) < 2:
                    raise SourceError(f"{where} ends before the class; correct or remove the row")
                parser.add(where, _whole(fields[0], where), _whole(fields[1], where), fields[2:])
                if parser.full():
                    yield from parser.blocks()
            yield from parser.blocks()

    def _write_camera(self, labels: Labels, camera: str, folder: Path) -> list[str]:
        drive, name = labels.drive, labels.drive.file_name
        path, left_out = folder / "label_02" / f"{name}.txt", Counter[str]()
        refuse_existing(path)
        calib, poses = folder / "calib" / f"{name}.txt", folder / "ego_pose" / f"{name}.json"
        for other in (calib, poses):
            other.unlink(missing_ok=True)  # of labels that are not there any more
        with new_text(calib) as file:
            file.write(format_calib(drive, camera))
        with new_text(poses) as file:
            json.dump(drive.info.trajectory.at(drive.exposure_ns[camera]).tolist(), file)
        _enter(folder / _SEQMAP, name, labels.n_frames)
        n_rows, tracks = 0, set[int]()
        with new_text(path) as file:
            for rows in row_blocks(labels, camera, left_out):
                frames, ids = rows.frame.tolist(), rows.track_id.tolist()
                heads = (f"{frame} {track_id} " for frame, track_id in zip(frames, ids, strict=True))
                file.write(formatted(rows, heads, rows.truncation_grade, labels.scored))
                n_rows += len(rows)
                tracks.update(ids)
        return [f"{path}: {n_rows} rows, {len(tracks - {-1})} tracks", *told(drive, camera, left_out)]


def _enter(seqmap: Path, name: str, n_frames: int) -> None:
    """Adds a sequence to the map, or exchanges its entry."""
    known = seqmap.read_text().splitlines() if seqmap.exists() else []
    entries = [line for line in known if line.split()[:1] != [name]]
    seqmap.unlink(missing_ok=True)
    with new_text(seqmap) as file:
        file.writelines(f"{line}\n" for line in sorted([*entries, f"{name} empty 000000 {n_frames:06d}"]))


def _whole(text: str, where: str) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise SourceError(f"{where}: frame or id is {text[:40]!r}, expected a whole number") from error
    if not -(1 << 63) <= value < 1 << 63:
        raise SourceError(f"{where}: frame or id is {text[:40]}, expected at most 63 bits")
    return value
