"""The token that says who asks: from the environment or a file, never an argument, which everybody here can see."""

from __future__ import annotations

import os
from pathlib import Path

from fleetlabel.model.errors import UsageError

TOKEN_VARIABLE = "FLEETLABEL_TOKEN"


def token_of(file: Path | None) -> str:
    """The token in a file, or without one in the environment; empty if there is none.

    Raises:
        UsageError: the file cannot be read, or holds no token.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {file}: {error}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(f"{file} holds no token; expected one line that begins with fl_")
    return token
