"""What failed in a fleet, grouped by cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fleetlabel.engine.fleet.root import Ended

# Places and numbers differ between sequences that fail for the same reason.
_PLACES = re.compile(r"(?:[^\s:;,()'\"]*/)+[^\s:;,()'\"]*|'[^']*'")
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_CAUSE_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences that failed for the same reason.

    Attributes:
        cause: the reason without names and numbers.
        names: of the sequences.
        example: the first one's reason in full.
    """

    cause: str
    names: tuple[str, ...]
    example: str


def cause_of(reason: str) -> str:
    """A reason without names and numbers, the same for all that failed for it."""
    plain = _NUMBERS.sub("N", _PLACES.sub("…", reason))
    return plain if len(plain) <= _CAUSE_LENGTH else plain[: _CAUSE_LENGTH - 1] + "…"


def group_failures(ended: Iterable[Ended]) -> list[Group]:
    """Failures by cause, the most frequent first."""
    causes: dict[str, list[Ended]] = {}
    for one in ended:
        if one.cause is not None:
            causes.setdefault(one.cause, []).append(one)
    groups = [Group(cause, tuple(one.name for one in them), them[0].reason) for cause, them in causes.items()]
    return sorted(groups, key=lambda group: (-len(group.names), group.cause))
