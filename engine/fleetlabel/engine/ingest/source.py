"""The contract between FleetLabel and a format of drive logs.

To add a format, write one file with a :class:`SourceFormat` and a :class:`SequenceSource`, and name it in
``formats.py``. Importers share ``clocks`` (sensor times), ``pictures`` (camera parts) and ``sweeps`` (lidar
parts).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import Part, Quarantined, SequenceInfo, SequenceStore
from fleetlabel.store.sequence import GROUND_TRUTH


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """Labels that came with a drive.

    Attributes:
        class_names: as the source calls them; what every ``class_id`` counts.
        boxes2d: camera name -> boxes; only cameras that the source labels.
        boxes3d: cuboids in the world frame; None if the source has none.
        quarantined: frames whose labels could not be read, with reasons.
        notes: what the source says and these columns cannot carry, for the user.
        provenance: JSON-ready, kept with the label version.
    """

    class_names: tuple[str, ...]
    boxes2d: Mapping[str, Boxes2D]
    boxes3d: Boxes3D | None
    quarantined: tuple[Quarantined, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


class SequenceSource(ABC):
    """One sequence of a drive log, opened: its description is in memory, its data is on disk.

    Opening reads metadata only, so that a task can open the source again by (path, name). It is
    deterministic.

    Attributes:
        info: sensors, frames and ego poses.
        warnings: what was found while reading the metadata and the user should know, in words.
    """

    info: SequenceInfo
    warnings: tuple[str, ...]

    @abstractmethod
    def read_sensor(self, name: str, start: int, stop: int) -> tuple[Part, list[Quarantined]]:
        """Data of one sensor in the frames ``start:stop``; memory grows with the range only.

        Returns:
            The part, one sample per frame. Samples: ``timestamp_ns`` i8 and ``status`` u1
            :class:`fleetlabel.store.SampleStatus`. A camera's flat column is ``jpeg`` u1, the file as it
            came. A lidar's are ``points`` f4 (P, 4: x y z in the sensor frame, intensity as it came) and
            ``point_time_offset_ns`` i4, and it has one more sample column, ``dropped_points`` i4: points that
            were left out because they are not finite. And the samples that cannot be used, with reasons.
        """

    @abstractmethod
    def ground_truth(self) -> GroundTruth | None:
        """Labels that the source has, None if it has none.

        Raises:
            SourceError: a label file as a whole cannot be read.
        """


class SourceFormat(ABC):
    """A format of drive logs.

    Attributes:
        name: of the format.
        looks_for: what makes a folder one of this format, in words.
        file_suffix: of files each of which is a drive log by itself, such as ``.mcap``; empty if there are none.
    """

    name: ClassVar[str]
    looks_for: ClassVar[str]
    file_suffix: ClassVar[str] = ""

    @abstractmethod
    def matches(self, path: Path) -> bool:
        """Whether a folder looks like one, complete or not; :meth:`open_sequence` says what it lacks."""

    @abstractmethod
    def list_sequences(self, path: Path) -> tuple[str, ...]:
        """Names of the sequences in a folder that matches, or in such a file, sorted."""

    @abstractmethod
    def open_sequence(self, path: Path, name: str) -> SequenceSource:
        """Opens one of :meth:`list_sequences`.

        Raises:
            SourceError: calibration, times or poses are missing or cannot be read.
        """


def write_ground_truth(store: SequenceStore, source: SequenceSource) -> GroundTruth | None:
    """Writes the source's labels as the label version ``ground_truth``, all or nothing; again, it does
    nothing.

    Returns:
        What the source had, so that the caller can report ``quarantined`` and ``notes``.
    """
    truth = source.ground_truth()
    if truth is not None:
        provenance = {"made_by": GROUND_TRUTH, "format": source.info.source["format"], **truth.provenance}
        sensors = {sensor.name for sensor in store.info.sensors}  # some may have been deleted
        boxes2d = {camera: boxes for camera, boxes in truth.boxes2d.items() if camera in sensors}
        store.write_labels(
            GROUND_TRUTH, boxes2d, truth.boxes3d, class_names=truth.class_names, provenance=provenance
        )
    return truth
