"""Warm workers: each loads the weights once, before its first task, those that join or are replaced later as well."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from fleetlabel.engine.detect import DetectConfig
from fleetlabel.engine.pipeline.warm_detectors import forget_detectors, warm_detector


class WarmDetector(WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """Keeps a worker's detector loaded for as long as a fleet runs.

    Args:
        model, config: weights and settled settings.
        needs: resources that a worker needs for detection; others load nothing.
    """

    name = "fleetlabel-detector"

    def __init__(self, model: Path, config: DetectConfig, needs: Mapping[str, float]) -> None:
        self._model = model
        self._config = config
        self._needs = dict(needs)

    async def setup(self, worker: Any) -> None:
        """Called by Dask on each worker; its loop stays free for heartbeats meanwhile."""
        offered = worker.state.total_resources
        if all(offered.get(name, 0.0) >= amount for name, amount in self._needs.items()):
            await asyncio.get_running_loop().run_in_executor(None, self._load)

    def teardown(self, worker: Any) -> None:
        """Called by Dask when the fleet is over."""
        forget_detectors()

    def _load(self) -> None:
        with warm_detector(self._model, self._config):
            pass
