"""Workers of a Dask cluster: tasks go out with names of their own, results come back in batches."""

from __future__ import annotations

import hashlib
import pickle
import queue
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fleetlabel.engine.cluster.connect import Connection
from fleetlabel.engine.cluster.isolated import perform_isolated
from fleetlabel.engine.pipeline.driver import Landed
from fleetlabel.engine.pipeline.faults import Fault, Trouble
from fleetlabel.engine.pipeline.schedule import Start
from fleetlabel.engine.pipeline.tasks import perform
from fleetlabel.model.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Future

_WAIT_S = 0.5
_LOST_S = 10.0
_CHECK_S = 5.0
_DRAIN_S = 600.0


class DaskWorkers:
    """A fleet's workers.

    Args:
        connection: to the cluster.
        needs: stage -> resources that its tasks need.
        without_workers_s: how long there may be no worker at all before that is an error.
    """

    def __init__(
        self,
        connection: Connection,
        needs: Mapping[str, Mapping[str, float]] | None = None,
        without_workers_s: float = 60.0,
    ) -> None:
        self._connection = connection
        self._needs = needs or {}
        self._without_workers_s = without_workers_s
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._running: dict[str, tuple[Start, Future]] = {}
        self._looked_s = self._seen_s = time.monotonic()

    def start(self, start: Start) -> None:
        """Gives a task to the scheduler.

        Its key says what it does, so that a driver that was started again finds what runs already.
        """
        body = pickle.dumps(start.task.work)
        told = hashlib.sha256(body + f"{start.attempt} {start.isolated}".encode()).hexdigest()[:16]
        task = start.task
        future = self._connection.client.submit(
            perform_isolated if start.isolated else perform,
            task.work,
            start.attempt,
            key=f"{task.stage}-{told}-{start.sequence}-{task.sensor}-{task.start}",
            resources=dict(self._needs.get(task.stage, {})) or None,
            pure=False,
        )
        self._running[future.key] = (start, future)
        future.add_done_callback(self._ended.put)

    def wait(self) -> list[Landed]:
        """Tasks that have ended.

        Raises:
            ClusterError: the scheduler is lost, or there has been no worker for too long.
        """
        try:
            ended = [self._ended.get(timeout=_WAIT_S)]
        except queue.Empty:
            self._check()
            return []
        while not self._ended.empty():
            ended.append(self._ended.get())
        lost = [future for future in ended if future.status in ("cancelled", "lost")]
        if lost:
            raise self._lost()
        results = self._collect([future for future in ended if future.status == "finished"])
        landed = []
        for future in ended:
            start, _ = self._running.pop(future.key)
            result = results[future.key] if future.status == "finished" else _fault(future)
            landed.append(Landed(start, result))
            future.release()
        return landed

    def drain(self) -> None:
        """Drops what has not begun and waits for what has."""
        if self._connection.client.status != "running":
            self._running.clear()
            return
        begun = self._begun()
        for _, future in self._running.values():
            if future.key not in begun and not future.done():
                future.cancel()
        until = time.monotonic() + _DRAIN_S
        while time.monotonic() < until and self._connection.client.status == "running":
            if all(future.done() for _, future in self._running.values()):
                break
            time.sleep(0.05)
        self._running.clear()

    def _begun(self) -> set[str]:
        """Keys of tasks that workers execute just now."""
        try:
            executing = self._connection.client.run(_executing, nanny=False, on_error="ignore")
        except (OSError, TimeoutError, ValueError):
            return set()
        return {key for keys in executing.values() if isinstance(keys, list) for key in keys}

    def _collect(self, futures: list[Future]) -> dict[str, Any]:
        if not futures:
            return {}
        try:
            results = self._connection.client.gather(futures)
        except Exception as error:
            if self._connection.client.status != "running":
                raise self._lost() from error
            raise
        return {future.key: result for future, result in zip(futures, results, strict=True)}

    def _check(self) -> None:
        now = time.monotonic()
        if self._connection.client.status == "running":
            self._seen_s = self._seen_s if self._no_worker(now) else now
            if now - self._seen_s > self._without_workers_s:
                raise ClusterError(
                    f"the scheduler at {self._connection.address} has had no workers for "
                    f"{self._without_workers_s:g} s; what was finished is kept: start workers and go on with --resume"
                )
        elif now - self._seen_s > _LOST_S:
            raise self._lost()

    def _no_worker(self, now: float) -> bool:
        if now - self._looked_s < _CHECK_S:
            return now - self._seen_s >= _CHECK_S
        self._looked_s = now
        return not self._connection.n_workers()

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the scheduler at {self._connection.address} is gone; what was finished is kept: start it again and go "
            "on with --resume"
        )


def _executing(dask_worker: Any) -> list[str]:
    return [ts.key for ts in dask_worker.state.executing]


def _fault(future: Future) -> Fault:
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        return Fault(Trouble.KILLED, "kills its worker: several died while they had it")
    return Fault(Trouble.ERROR, f"{type(error).__name__}: {error}")
