"""Where a fleet's tasks are done: threads of this process, processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fleetlabel.engine.detect import DetectConfig
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
        self._needs = needs
        self._connection = connection

    def slots_of(self, stage: str) -> int:
        """Tasks of a stage at once."""
        if self._connection is None or stage != "detect" or not self._needs:
            return self.slots
        return self._connection.slots(self._needs)

    def warm(self, model: Path, config: DetectConfig, stack: ExitStack) -> None:
        """Has workers load the weights once, before their first task; threads do at their first."""
        if self._connection is not None:
            self._connection.warm(model, config, self._needs, stack)

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

    if cluster is None:
        connection = start_local(config.workers, stack)
    else:
        connection = connect(cluster, stack)
        connection.wait_for_workers(fleet.wait_for_workers_s)
    connection.check_needs("detection", fleet.detect_needs)
    slots = connection.slots()
    needs = {"detect": fleet.detect_needs} if fleet.detect_needs else {}
    described = f"{connection.n_workers()} workers with {slots} threads at {connection.address}"
    return Workplace(DaskWorkers(connection, needs), slots, fleet.detect_needs, connection, described)
