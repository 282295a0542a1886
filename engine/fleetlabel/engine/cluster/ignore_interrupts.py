"""Preloaded by local workers: Ctrl-C reaches the whole foreground, but it is the driver who decides what stops."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Called by Dask once a worker runs, in its main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
