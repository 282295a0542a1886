"""nuScenes detection results: ``{"meta": ..., "results": {sample_token: [box, ...]}}``, as 3D detectors write them.

Conventions are those of the tables: global frame, width, length, height, and w, x, y, z. Tokens are those of tables
that FleetLabel exported, or of those beside the file (``v1.0-*/sample.json``, which says when each sample was).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fleetlabel.engine.exchange.attributes import number
from fleetlabel.engine.exchange.contract import Block, Carries, LabelFormat, Reading, exactly
from fleetlabel.engine.exchange.nuscenes import frames_of_samples, placed, tables_in
from fleetlabel.engine.exchange.nuscenes_tables import token
from fleetlabel.engine.exchange.rows import Rows
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.engine.ingest.large_files import label_files
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import SourceError

_COLUMNS = ("center_m", "size_lwh_m", "q_wxyz", "score", "velocity_mps", "track_id", "source")


class NuScenesResults(LabelFormat):
    """Results of nuScenes' detection and tracking tasks."""

    name = "nuscenes-results"
    title = "nuScenes results"
    looks_for = "a .json file with results by sample token"
    carries = Carries(cuboids=exactly(*_COLUMNS, "class_id"))

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        for file in label_files(path, "*.json", "nuScenes results"):
            frames = _frames(file, reading)
            rows = Rows(Boxes3D, file, reading, _COLUMNS, unit="sample")
            for _, sample, boxes in members(file, ("results",)):
                where = f"{file} sample {str(sample)[:40]}"
                if sample not in frames:
                    raise SourceError(
                        f"{where} is no sample of {reading.drive.info.name}; put the tables (v1.0-*/) beside the file "
                        "if they are not FleetLabel's, or these results are of another drive"
                    )
                if not isinstance(boxes, list):
                    raise SourceError(f"{where} has {str(boxes)[:80]}, expected a list of boxes")
                for box in boxes:
                    self._add(rows, box, frames[str(sample)], where, reading)
                if rows.full():
                    yield from rows.blocks()
            yield from rows.blocks()

    def _add(self, rows: Rows, box: object, frame: int, where: str, reading: Reading) -> None:
        required = ("translation", "size", "rotation")
        if not isinstance(box, Mapping) or any(field not in box for field in required):
            raise SourceError(f"{where} has {str(box)[:80]}, expected {', '.join(required)}")
        name = box.get("detection_name", box.get("tracking_name"))
        if name is None:
            raise SourceError(f"{where} has a box without detection_name or tracking_name: {str(box)[:80]}")
        translation, size, rotation = placed(box, where)
        velocity = box.get("velocity") or [float("nan")] * 2
        tracked = str(box.get("tracking_id", ""))
        rows.add(
            where,
            None,
            frame,
            str(name),
            translation - reading.drive.info.world_offset_m,
            size[[1, 0, 2]],
            rotation,
            number(box, "detection_score", number(box, "tracking_score", 1.0, where), where),
            [*velocity, 0.0] if isinstance(velocity, list) else velocity,
            int(tracked) if tracked.isdecimal() and len(tracked) < 19 else -1,
            Source.TRACKER if tracked else Source.DETECTOR,
        )


def _frames(file: Path, reading: Reading) -> dict[str, int]:
    own = {token(reading.drive, "sample", frame): frame for frame in range(reading.drive.info.n_frames)}
    beside = [*file.parent.glob("v1.0-*/sample.json"), *file.parent.glob("sample.json")]
    return own | (frames_of_samples(tables_in(file.parent, reading.drive), reading.drive) if beside else {})
