"""What a check is, and what it finds.

To add one: write a file with a :class:`Check` and name it in ``running.py``. A check looks at an
:class:`~fleetlabel.engine.checks.inspection.Inspection`, which reads what several of them need only once, says what it
found of each sensor in numbers with units, and can draw it. It never raises because of a drive's data: what cannot be
told is :attr:`Verdict.UNKNOWN`, with the reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection

EGO = "ego"  # the subject of findings about the vehicle's poses


class Verdict(StrEnum):
    """What is made of a finding; UNKNOWN: the data cannot tell."""

    PASS = "pass"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


_ORDER = tuple(Verdict)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of some verdicts; what cannot be told is no blemish where anything else could be."""
    known = [verdict for verdict in verdicts if verdict is not Verdict.UNKNOWN]
    return max(known or verdicts, key=_ORDER.index, default=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says of one sensor, or of the vehicle's poses.

    Attributes:
        check: its name.
        subject: the sensor's name, or ``ego``.
        fault: what is wrong in one word that stays the same, for machines; empty if nothing is.
        verdict: pass, unknown, warn or fail.
        text: for people: what was found and what it means.
        values: the numbers, units in their names.
    """

    check: str
    subject: str
    fault: str
    verdict: Verdict
    text: str
    values: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers are rounded to what they are worth."""
        return {
            "check": self.check,
            "subject": self.subject,
            "fault": self.fault,
            "verdict": self.verdict.value,
            "text": self.text,
            "values": {name: float(f"{value:.6g}") for name, value in self.values.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Finding:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**values, "verdict": Verdict(values["verdict"])})


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check says of a drive.

    Attributes:
        findings: at least one per sensor that it looked at, good ones included.
        draw: draws it into an empty figure.
    """

    findings: tuple[Finding, ...]
    draw: Callable[[Figure], None] | None = None


class Check(ABC):
    """One kind of look at a drive.

    Attributes:
        name: as reports and files call it.
        looks_at: what it finds, in words.
    """

    name: ClassVar[str]
    looks_at: ClassVar[str]

    @abstractmethod
    def run(self, inspection: Inspection) -> Checked:
        """Looks at a drive."""

    def finding(
        self,
        subject: str,
        verdict: Verdict,
        text: str,
        values: Mapping[str, float] | None = None,
        fault: str = "",
    ) -> Finding:
        """A finding of this check."""
        return Finding(self.name, subject, fault, verdict, text, values or {})


def graded(value: float, warn: float, fail: float) -> Verdict:
    """The verdict on a value that should be small."""
    return Verdict.FAIL if value >= fail else Verdict.WARN if value >= warn else Verdict.PASS
