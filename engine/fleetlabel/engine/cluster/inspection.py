"""What a worker says of itself when it is asked whether it can do a fleet's work; runs on the worker."""

from __future__ import annotations

import platform
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Inspection:
    """A worker's answer.

    Attributes:
        host: of the worker.
        versions: of what has to be the same everywhere.
        unseen: paths that it cannot read.
        unwritable: why it cannot write the output, if it cannot.
    """

    host: str
    versions: dict[str, str]
    unseen: tuple[str, ...]
    unwritable: str | None


def versions() -> dict[str, str]:
    """Of FleetLabel, Dask and Python here; results or messages would differ between others."""
    return {
        "fleetlabel": version("fleetlabel"),
        "dask": version("dask"),
        "distributed": version("distributed"),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "zarr": version("zarr"),
        "numpy": version("numpy"),
    }


def inspect(state: Path, token: str, inputs: Sequence[Path]) -> Inspection:
    """Looks at this worker: its versions, whether it reads the inputs, and whether it writes the driver's output.

    Args:
        state: the folder that the driver keeps the fleet's state in.
        token: a file that it has there.
        inputs: weights and sources.
    """
    unseen = tuple(str(path) for path in (state / token, *inputs) if not path.exists())
    return Inspection(socket.gethostname(), versions(), unseen, _refusal(state))


def _refusal(folder: Path) -> str | None:
    probe = folder / f".probe-{socket.gethostname()}"
    try:
        probe.write_bytes(b"0")
        probe.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return None
