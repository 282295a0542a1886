"""Moments as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import overload

from fleetlabel.model.errors import UsageError


@overload
def parse_moment(text: str) -> int: ...
@overload
def parse_moment(text: None) -> None: ...
def parse_moment(text: str | None) -> int | None:
    """``2026-11-24T10:00:00Z`` (UTC if no zone is given), ``2026-11-24`` or nanoseconds, as nanoseconds.

    Raises:
        UsageError: it is no such text.
    """
    if text is None or re.fullmatch(r"-?\d{9,}|0", text):
        return None if text is None else int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no time; write for example 2026-11-24T10:00:00Z, 2026-11-24, or nanoseconds"
        ) from error
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
