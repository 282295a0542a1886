"""Opening a sequence of an engine elsewhere, as the command line asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleetlabel.client import Engine
from fleetlabel.client.tokens import token_of
from fleetlabel.viewers.remote.source import RemoteSource, state_folder


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where the engine is, and how it is asked; the token comes from a file or the environment."""

    address: str
    token_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    in_the_clear: bool = False

    def connect(self, timeout_s: float, patience_s: float) -> Engine:
        """A connection, by how long an answer may take and how long calls that fail are made again."""
        return Engine(
            self.address,
            token=token_of(self.token_file) or None,
            ca=self.ca,
            certificate=self.certificate,
            key=self.key,
            in_the_clear=self.in_the_clear,
            timeout_s=timeout_s,
            patience_s=patience_s,
        )


def open_remote(options: EngineOptions, sequence_id: str) -> RemoteSource:
    """The sequence, with whatever waits on this machine to be sent.

    Raises:
        FleetLabelError: the engine does not answer, or has no such sequence.
    """
    return RemoteSource(options.connect, sequence_id, state_folder(options.address, sequence_id))
