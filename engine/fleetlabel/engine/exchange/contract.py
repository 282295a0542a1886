"""The contract between FleetLabel and a format of label files.

To add a format, write one file with a :class:`LabelFormat` (or :class:`WritableFormat`) and name it in ``formats.py``.
What it declares in :class:`Carries` is all that the rest needs to know: the report of what is lost, the table in the
documentation and the tests that every format inherits follow from it.

A writer is given labels in blocks of frames and writes as it goes; a reader yields blocks of boxes as it reads, in any
order of frames. Neither holds a file or a label version in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.model.boxes import Boxes2D, Boxes3D

# Boxes that a reader gathers before it hands them on.
BLOCK_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class Carries:
    """What a format can say of a box, column by column of :class:`Boxes2D` and :class:`Boxes3D`.

    A column that is not named is lost. Frames always come through.

    Attributes:
        pictures: columns of boxes in pictures -> what becomes of them in words; "" if they come back as they were.
            Empty if the format has no boxes in pictures.
        cuboids: likewise of cuboids.
        keyframes: whether it tells boxes that a person set from those that follow from them.
        notes: what else to know, in words.
    """

    pictures: Mapping[str, str] = field(default_factory=dict)
    cuboids: Mapping[str, str] = field(default_factory=dict)
    keyframes: bool = False
    notes: tuple[str, ...] = ()

    def columns(self, kind: type[Boxes2D] | type[Boxes3D]) -> Mapping[str, str]:
        """Those of boxes in pictures, or of cuboids."""
        return self.pictures if kind is Boxes2D else self.cuboids

    def exact(self, kind: type[Boxes2D] | type[Boxes3D]) -> tuple[str, ...]:
        """Columns that come back as they were."""
        return tuple(name for name, change in self.columns(kind).items() if not change)


def exactly(*columns: str, **changed: str) -> dict[str, str]:
    """Columns that come back as they were, and others with what becomes of them."""
    return {**dict.fromkeys(columns, ""), **changed}


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Boxes that a reader found.

    Attributes:
        camera: whose pictures they are in; None for cuboids.
        boxes: in the project's conventions; class names are the file's.
        view: the camera in whose files cuboids are, if other cameras' files may have the same ones.
    """

    camera: str | None
    boxes: Boxes2D | Boxes3D
    view: str | None = None


@dataclass(slots=True, eq=False)
class Reading:
    """What a reader has to know of the drive, and what it has to tell.

    Attributes:
        drive: whose labels are read.
        camera: whose pictures the boxes are in, where files do not say.
        skipped: what could not be taken over, in words, with counts.
    """

    drive: Drive
    camera: str | None = None
    skipped: Counter[str] = field(default_factory=Counter)


class LabelFormat(ABC):
    """A format of label files that can be imported.

    Attributes:
        name: as the command line calls it.
        title: as people call it.
        carries: what comes through.
        looks_for: which files it reads, in words.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    carries: ClassVar[Carries]
    looks_for: ClassVar[str]

    @abstractmethod
    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """Boxes of a file or folder; memory does not grow with their number.

        Raises:
            SourceError: a file is missing, malformed, hostile, or of another drive; names file and place.
            UsageError: files do not say which camera they are of, and nobody else did.
        """


class WritableFormat(LabelFormat):
    """A format that label versions can be exported in, too."""

    @abstractmethod
    def write(self, labels: Labels, out: Path) -> list[str]:
        """Writes all labels below a folder, in which other sequences may be; memory does not grow with their number.

        Returns:
            What was written and what to know about it, in words, a line each.

        Raises:
            StoreExistsError: the folder has labels of this sequence.
            StoreWriteError: the file system refused.
        """
