"""What an engine's process does in tests; here and not in the tests, so that a new process can import it."""

from __future__ import annotations

import asyncio
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from fleetlabel.engine.rpc import ServeSettings, serve


def serve_until_killed(folder: Path, catalog: str, port: int, told: Connection) -> None:
    """Serves ``folder/data``; tells the port."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.environ.get("FLEETLABEL_SYNC") != "1":
        os.fsync = lambda handle: None  # type: ignore[assignment]
    settings = ServeSettings(
        data=(str(folder / "data"),), catalog=catalog, scratch=folder / "scratch", port=port, workers=1
    )
    asyncio.run(serve(settings, lambda addresses: told.send(addresses.port)))
