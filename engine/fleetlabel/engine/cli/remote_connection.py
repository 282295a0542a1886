"""Where the engine is that ``--engine`` names, and who asks.

The token comes from the environment or a file, never from an argument, which everybody on the machine can see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleetlabel.model.errors import AccessError, UsageError

if TYPE_CHECKING:
    from fleetlabel.client import Engine

TOKEN_VARIABLE = "FLEETLABEL_TOKEN"
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where the engine is, and how it is asked; set once for all commands."""

    address: str
    token_file: Path | None
    ca: Path | None
    certificate: Path | None
    key: Path | None
    in_the_clear: bool


ASKED: ContextVar[EngineOptions] = ContextVar("engine")


@contextmanager
def engine_there() -> Iterator[Engine]:
    """A connection to it."""
    try:
        from fleetlabel.client import Engine
    except ModuleNotFoundError as error:
        raise UsageError(
            f"talking to an engine needs {error.name}; install it: pip install 'fleetlabel[rpc]'"
        ) from error
    asked = ASKED.get()
    with Engine(
        asked.address,
        token=_token(asked.token_file),
        ca=asked.ca,
        certificate=asked.certificate,
        key=asked.key,
        in_the_clear=asked.in_the_clear,
        patience_s=_PATIENCE_S,
    ) as engine:
        yield engine


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise AccessError(f"no token says who you are; set {TOKEN_VARIABLE}, or give --token-file FILE")
        return token
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {file}: {error}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(f"{file} holds no token; expected one line that begins with fl_")
    return token
