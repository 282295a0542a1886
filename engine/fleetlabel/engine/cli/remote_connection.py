"""Where the engine is that ``--engine`` names, and who asks.

The token comes from the environment or a file, never from an argument, which everybody on the machine can see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleetlabel.model.errors import AccessError, UsageError

if TYPE_CHECKING:
    from fleetlabel.client import Engine

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
        from fleetlabel.client.tokens import TOKEN_VARIABLE, token_of
    except ModuleNotFoundError as error:
        raise UsageError(
            f"talking to an engine needs {error.name}; install it: pip install 'fleetlabel[rpc]'"
        ) from error
    asked = ASKED.get()
    token = token_of(asked.token_file)
    if not token:
        raise AccessError(f"no token says who you are; set {TOKEN_VARIABLE}, or give --token-file FILE")
    with Engine(
        asked.address,
        token=token,
        ca=asked.ca,
        certificate=asked.certificate,
        key=asked.key,
        in_the_clear=asked.in_the_clear,
        patience_s=_PATIENCE_S,
    ) as engine:
        yield engine
