"""Words of an operation's request, as clients give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetlabel.model.errors import UsageError


def check_words(request: Mapping[str, Any], *needed: str, optional: tuple[str, ...] = ()) -> None:
    """Complains of a request that lacks a word, or has one that nobody reads.

    Raises:
        UsageError: so it is.
    """
    unknown = set(request) - {*needed, *optional}
    missing = [name for name in needed if not request.get(name)]
    if unknown or missing:
        what = f"lacks `{missing[0]}`" if missing else f"has an unknown `{min(unknown)}`"
        raise UsageError(f"the request {what}; expected {', '.join([*needed, *optional])}")


def text(request: Mapping[str, Any], name: str, optional: bool = False) -> Any:
    """The text that a word has; None if it is not there and need not be.

    Raises:
        UsageError: it is no text.
    """
    value = request.get(name)
    if (value is None and optional) or isinstance(value, str):
        return value
    raise UsageError(f"`{name}` holds {value!r}, expected a text")
