"""Workers of a Dask cluster: tasks go out with names of their own, results come back as each is there."""

from __future__ import annotations

import hashlib
import pickle
import queue
import time
from asyncio import CancelledError
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fleetlabel.engine.cluster.connection import Connection
from fleetlabel.engine.cluster.isolated import perform_isolated
from fleetlabel.engine.pipeline.driver import Landed
from fleetlabel.engine.pipeline.faults import Fault, Trouble
from fleetlabel.engine.pipeline.schedule import Start
from fleetlabel.engine.pipeline.tasks import TaskResult, perform
from fleetlabel.model.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Future

_WAIT_S = 0.5
_LOST_S = 10.0
_CHECK_S = 5.0
_ANSWER_S = 10.0
_DRAIN_S = 600.0


class DaskWorkers:
    """A fleet's workers.

    Args:
        connection: to the cluster.
        needs: stage -> resources that its tasks need.
        without_workers_s: how long there may be no worker at all, or none that serves a need, before that is an error.
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
        self._ended: queue.SimpleQueue[tuple[str, TaskResult | Fault | None]] = queue.SimpleQueue()
        self._queued: list[Start] = []
        self._running: dict[str, tuple[Start, Future]] = {}
        self._looked_s = self._served_s = self._answered_s = time.monotonic()

    def start(self, start: Start) -> None:
        """Queues a task; the scheduler is given what is queued all at once."""
        self._queued.append(start)

    def wait(self) -> list[Landed]:
        """Tasks that have ended.

        Raises:
            ClusterError: the scheduler is lost, or there has been no worker for too long.
        """
        self._send()
        try:
            ended = [self._ended.get(timeout=_WAIT_S)]
        except queue.Empty:
            self._check()
            return []
        while not self._ended.empty():
            ended.append(self._ended.get())
        landed = []
        for key, outcome in ended:
            if outcome is None:
                raise self._lost()
            start, future = self._running.pop(key)
            future.release()
            landed.append(Landed(start, outcome))
        return landed

    def drain(self) -> None:
        """Drops what has not begun and waits for what has."""
        self._queued.clear()
        try:
            if self._running and self._connection.client.status == "running":
                begun = self._begun()
                futures = [future for _, future in self._running.values()]
                self._connection.client.cancel([future for future in futures if future.key not in begun])
                self._await(begun)
        finally:
            self._running.clear()

    def _send(self) -> None:
        """Gives the scheduler what is queued, under names that say what each task does."""
        alike: dict[tuple[bool, str], list[Start]] = {}
        for start in self._queued:
            stage = start.task.stage
            alike.setdefault((start.isolated, stage if stage in self._needs else ""), []).append(start)
        self._queued.clear()
        client = self._connection.client
        for (isolated, stage), starts in alike.items():
            futures = client.map(
                perform_isolated if isolated else perform,
                [start.task.work for start in starts],
                [start.attempt for start in starts],
                key=[_name(start) for start in starts],
                resources=dict(self._needs.get(stage, {})) or None,
                pure=False,
            )
            for start, future in zip(starts, futures, strict=True):
                self._running[future.key] = (start, future)
                client.loop.add_callback(self._fetch, future)

    async def _fetch(self, future: Future) -> None:
        """Fetches a result once it is there; runs in Dask's loop.

        Dask does a task again if its worker dies before the result is fetched: then this goes on waiting.
        """
        outcome: TaskResult | Fault | None
        try:
            outcome = await future
        except (Exception, CancelledError) as error:
            outcome = _fault(error) if future.status == "error" else None
        self._ended.put((future.key, outcome))

    def _await(self, keys: set[str]) -> None:
        until = time.monotonic() + _DRAIN_S
        left = keys & self._running.keys()
        while left and time.monotonic() < until and self._connection.client.status == "running":
            try:
                left.discard(self._ended.get(timeout=_WAIT_S)[0])
            except queue.Empty:
                continue

    def _begun(self) -> set[str]:
        """Keys of tasks that workers execute just now; all, if they do not say."""
        client = self._connection.client
        try:
            executing = client.sync(client._run, _executing, on_error="ignore", callback_timeout=_ANSWER_S)
        except (OSError, TimeoutError, ValueError):
            return set(self._running)
        return {key for keys in executing.values() for key in keys}

    def _check(self) -> None:
        now = time.monotonic()
        if self._connection.client.status != "running":
            if now - self._answered_s > _LOST_S:
                raise self._lost()
            return
        self._answered_s = now
        if now - self._looked_s < _CHECK_S:
            return
        self._looked_s = now
        unserved = self._unserved()
        if unserved is None:
            self._served_s = now
        elif now - self._served_s > self._without_workers_s:
            raise ClusterError(
                f"the scheduler at {self._connection.address} has had no workers {unserved}for "
                f"{self._without_workers_s:g} s; what was finished is kept: start workers and go on with --resume"
            )

    def _unserved(self) -> str | None:
        """What no worker has; None if every need is served."""
        if not self._connection.n_workers():
            return ""
        for needs in self._needs.values():
            if not self._connection.slots(needs):
                return f"with {', '.join(f'{name}={amount:g}' for name, amount in needs.items())} "
        return None

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the scheduler at {self._connection.address} is gone; what was finished is kept: start it again and go "
            "on with --resume"
        )


def _name(start: Start) -> str:
    task = start.task
    body = pickle.dumps(task.work) + f"{start.attempt} {start.isolated}".encode()
    told = hashlib.sha256(body).hexdigest()[:16]
    return f"{task.stage}-{told}-{start.sequence}-{task.sensor}-{task.start}"


def _executing(dask_worker: Any) -> list[str]:
    return [ts.key for ts in dask_worker.state.executing]


def _fault(error: BaseException) -> Fault:
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return Fault(Trouble.KILLED, "kills its worker: several died while they had it")
    return Fault(Trouble.ERROR, f"{type(error).__name__}: {error}")
