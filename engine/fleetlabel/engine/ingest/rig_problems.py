"""What is wrong with a rig folder: one record per problem, so that all are told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetlabel.model.errors import SourceError

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: where.
        field: of ``rig.yaml``, a column or a row; empty if it is the whole file.
        expected, found: in words.
        remedy: what to do.
        warning: the drive can be read all the same.
    """

    file: Path
    field: str
    expected: str
    found: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}: {self.field}" if self.field else str(self.file)
        return f"{where}: expected {self.expected}, found {self.found}; {self.remedy}"


class RigError(SourceError):
    """A rig folder cannot be read; says all that is wrong with it.

    Attributes:
        problems: each thing.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        shown = [str(problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            shown.append(f"... and {len(problems) - _SHOWN} more; `fleetlabel validate` lists them all")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)
