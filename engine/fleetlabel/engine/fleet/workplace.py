"""Where a fleet's tasks are done: threads of this process, processes of this machine, or a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fleetlabel.engine.detect import DetectConfig, load_weights
from fleetlabel.engine.detect.libraries import possible_specs, workers_per_gpu
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.driver import ExecutorWorkers, Workers
from fleetlabel.model.errors import UsageError

if TYPE_CHECKING:
    from fleetlabel.engine.cluster import Connection


class Workplace:
    """Workers, and what can be known of them.

    Attributes:
        workers: do the tasks.
        slots: tasks at once.
        in_flight: tasks that they are given at once: on a cluster some wait there, so that no worker does.
        memory_bytes: of all workers; 0 if that is not known.
        needs: resources that detection needs.
        dashboard: address of a web page that shows them, if there is one.
        description: in words.
    """

    def __init__(
        self,
        workers: Workers,
        slots: int,
        needs: Mapping[str, float],
        connection: Connection | None,
        description: str,
    ) -> None:
        self.workers = workers
        self.slots = slots
        self.in_flight = slots if connection is None else 2 * slots
        self.memory_bytes = 0 if connection is None else connection.memory_bytes()
        self.dashboard = None if connection is None else connection.dashboard
        self.description = description
        self.needs = needs
        self._connection = connection

    def slots_of(self, stage: str) -> int:
        """Tasks of a stage at once."""
        if self._connection is None or stage != "detect" or not self.needs:
            return self.slots
        return self._connection.slots(self.needs)

    def warm(self, model: Path, config: DetectConfig, stack: ExitStack) -> None:
        """Has workers load the weights once, before their first task; threads do at their first."""
        if self._connection is not None:
            self._connection.warm(model, config, self.needs, stack)

    def check(self, state: Path, token: str, inputs: Sequence[Path]) -> None:
        """Complains of workers that would fail at every task; see :meth:`Connection.check_workers`."""
        if self._connection is not None:
            self._connection.check_workers(state, token, inputs)


def find_workers(config: RunConfig, cluster: object, stack: ExitStack) -> Workplace:
    """The workers that a configuration asks for.

    Args:
        cluster: a Dask cluster or client, an address or a scheduler file; None: what the configuration says.
        stack: ends what is started here.

    Raises:
        UsageError: settings exclude each other, or Dask is needed and not installed.
        ClusterError: workers cannot be reached, or none offers what detection needs.
    """
    fleet = config.fleet
    cluster = fleet.cluster if cluster is None else cluster
    if fleet.threads and cluster is not None:
        raise UsageError("--threads and --cluster exclude each other; choose one")
    if cluster is None and (fleet.threads or find_spec("distributed") is None):
        if fleet.detect_needs:
            raise UsageError(
                "threads offer no resources; leave out --detect-needs, or use processes or a cluster"
            )
        executor = stack.enter_context(ThreadPoolExecutor(config.workers, thread_name_prefix="fleetlabel"))
        described = f"{config.workers} threads"
        return Workplace(ExecutorWorkers(executor), config.workers, {}, None, described)

    from fleetlabel.engine.cluster import DaskWorkers, connect, start_local

    needs = fleet.detect_needs
    if cluster is None:
        gpus = [] if needs else gpus_for(config)
        needs = needs or ({"GPU": 1.0} if gpus else {})
        connection = start_local(max(config.workers, len(gpus)), stack, gpus=gpus)
    else:
        connection = connect(cluster, stack)
        connection.wait_for_workers(fleet.wait_for_workers_s)
    connection.check_needs("detection", needs)
    slots = connection.slots()
    described = f"{connection.n_workers()} workers with {slots} threads at {connection.address}"
    workers = DaskWorkers(connection, {"detect": needs} if needs else {})
    return Workplace(workers, slots, needs, connection, described)


def gpus_for(config: RunConfig) -> list[str]:
    """The GPU of each worker that detects: this machine's, each several times, if the weights can run there."""
    if config.model is None or config.detections2d is not None:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        gpus = [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]
    else:
        gpus = [name for name in visible.split(",") if name]
    if not gpus:
        return []
    weights = load_weights(config.model, trust_pickle=config.detect.trust_pickle)
    specs = [spec for spec in possible_specs(weights, config.detect) if spec.device == "cuda"]
    if not specs:
        return []
    each = min(workers_per_gpu(specs), max(1, config.workers // len(gpus)))
    return [gpu for gpu in gpus for _ in range(each)]
