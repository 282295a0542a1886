"""Whether an edit's fields are what they should be, in words that say which is not."""

from __future__ import annotations

import math
import operator
from typing import ClassVar, Protocol

from fleetlabel.model.errors import EditError

_LONGEST_TEXT = 10_000


class Checked(Protocol):
    """An edit, as far as checks know it."""

    kind: ClassVar[str]

    @property
    def object_id(self) -> int:
        """Of the object that it is about."""


def wrong(edit: Checked, name: str, expected: str) -> EditError:
    """The error that a field is not what was expected."""
    return EditError(
        f"{edit.kind} of object {edit.object_id}: {name} is {getattr(edit, name)!r}, expected {expected}"
    )


def check_int(edit: Checked, name: str, least: int | None = 0, most: int | None = None) -> None:
    """Makes a field a whole number of Python's, or refuses it."""
    value = getattr(edit, name)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise wrong(edit, name, "a whole number")
    value = operator.index(value)  # numpy's whole numbers are taken
    object.__setattr__(edit, name, value)
    if (least is not None and value < least) or (most is not None and value > most):
        raise wrong(edit, name, f"a whole number from {least}" + ("" if most is None else f" to {most}"))


def check_number(edit: Checked, name: str) -> None:
    """Makes a field a finite number of Python's, or refuses it."""
    object.__setattr__(edit, name, _finite(edit, name, getattr(edit, name)))


def check_numbers(edit: Checked, name: str, length: int, positive: bool = False) -> None:
    """Makes a field a tuple of finite numbers, or refuses it."""
    value = getattr(edit, name)
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != length:
        raise wrong(edit, name, f"{length} numbers")
    numbers = tuple(_finite(edit, name, number) for number in value)
    if positive and min(numbers) <= 0:
        raise wrong(edit, name, f"{length} positive numbers")
    object.__setattr__(edit, name, numbers)


def check_box(edit: Checked, name: str) -> None:
    """Makes a field pixel edges x1 y1 x2 y2, or refuses it."""
    check_numbers(edit, name, 4)
    x1, y1, x2, y2 = getattr(edit, name)
    if not (x1 < x2 and y1 < y2):
        raise wrong(edit, name, "x1 < x2 and y1 < y2")


def check_text(edit: Checked, name: str, empty: bool = False) -> None:
    """Refuses a field that is no text, or too long, or empty."""
    value = getattr(edit, name)
    if not isinstance(value, str) or not (value.strip() or empty) or len(value) > _LONGEST_TEXT:
        raise wrong(
            edit, name, f"text of up to {_LONGEST_TEXT} characters" + ("" if empty else ", not empty")
        )


def _finite(edit: Checked, name: str, number: object) -> float:
    """As a Python float: numpy's numbers are taken, and minus zero is zero, so that equal edits have equal bytes."""
    try:
        value = float(number) + 0.0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise wrong(edit, name, "numbers") from None
    if isinstance(number, (bool, str)) or not math.isfinite(value):
        raise wrong(edit, name, "finite numbers")
    return value
