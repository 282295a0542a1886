"""A cluster that can be given work: what its workers offer, and refusing those that do not fit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlabel.engine.cluster.inspection import Inspection, inspect, versions
from fleetlabel.engine.cluster.opening import one_line
from fleetlabel.model.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

    from fleetlabel.engine.detect import DetectConfig


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster that can be given work.

    Attributes:
        client: of Dask.
        address: of the scheduler, or "this machine".
        dashboard: its web page, if it has one.
    """

    client: Client
    address: str
    dashboard: str | None

    def slots(self, needs: Mapping[str, float] | None = None) -> int:
        """Tasks that run at once: threads of all workers, or how many of those needs they can serve together."""
        total = 0
        for worker in self._workers().values():
            served = [worker["nthreads"]]
            served += [
                int(worker["resources"].get(name, 0) // amount) for name, amount in (needs or {}).items()
            ]
            total += min(served)
        return total

    def memory_bytes(self) -> int:
        """Memory of all workers; 0 if they do not say."""
        return sum(worker["memory_limit"] or 0 for worker in self._workers().values())

    def n_workers(self) -> int:
        """Workers that are there."""
        return len(self._workers())

    def wait_for_workers(self, patience_s: float) -> None:
        """Waits until there is one.

        Raises:
            ClusterError: there is none in that time.
        """
        until = time.monotonic() + patience_s
        while not self._workers():
            if time.monotonic() > until:
                raise ClusterError(
                    f"the scheduler at {self.address} has no workers, and none came in {patience_s:g} s; start some "
                    f"with `dask worker {self.address}`, or wait longer with --wait-for-workers"
                )
            time.sleep(0.2)

    def check_needs(self, stage: str, needs: Mapping[str, float]) -> None:
        """Complains of what no worker has: Dask would wait for it for ever.

        Raises:
            ClusterError: no worker has it all.
        """
        if needs and not self.slots(needs):
            wanted = ", ".join(f"{name}={amount:g}" for name, amount in needs.items())
            offered = sorted({json.dumps(worker["resources"]) for worker in self._workers().values()})
            raise ClusterError(
                f"{stage} needs {wanted}, which none of the {self.n_workers()} workers has; they have "
                f'{", ".join(offered)}; start workers with `dask worker --resources "{wanted.replace(", ", " ")}"`'
            )

    def check_workers(self, state: Path, token: str, inputs: Sequence[Path]) -> None:
        """Complains of workers that would fail at every task, or would give other labels than this process.

        Args:
            state: the folder of the fleet's state.
            token: a file that this process keeps there.
            inputs: weights and some sources, which workers have to see.

        Raises:
            ClusterError: one has other versions, or does not see the files.
        """
        try:
            # A worker that lacks FleetLabel cannot even tell so.
            answers = self.client.run(inspect, state, token, list(inputs), on_error="return")
            scheduler = self.client.get_versions()["scheduler"]["packages"]["distributed"]
        except (OSError, TimeoutError) as error:
            raise ClusterError(f"the workers at {self.address} do not answer: {error}") from error
        if scheduler != versions()["distributed"]:
            raise ClusterError(
                f"the scheduler at {self.address} has distributed {scheduler} (here {versions()['distributed']}); "
                "install the same everywhere"
            )
        for worker, answer in answers.items():
            problem = _problem(answer, state)
            if problem:
                raise ClusterError(f"worker {worker}: {problem}")

    def warm(self, model: Path, config: DetectConfig, needs: Mapping[str, float], stack: ExitStack) -> None:
        """Has every worker that detects load the weights, now or when it joins, and keep them.

        Args:
            config: settled settings.
            needs: resources of workers that detect.
            stack: lets them go.

        Raises:
            ClusterError: a worker cannot load them.
        """
        from fleetlabel.engine.cluster.warming import WarmDetector

        plugin = WarmDetector(model, config, needs)
        stack.callback(self._cool, plugin.name)
        try:
            self.client.register_plugin(plugin)
        except Exception as error:  # whatever a worker met
            raise ClusterError(f"a worker cannot load {model}: {one_line(error)}") from error

    def _cool(self, plugin: str) -> None:
        if self.client.status == "running":
            with suppress(Exception):  # a worker that is gone has forgotten as well
                self.client.unregister_worker_plugin(plugin)

    def _workers(self) -> dict[str, dict[str, Any]]:
        workers: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return workers


def _problem(answer: object, state: Path) -> str | None:
    if isinstance(answer, ModuleNotFoundError):
        return f"it has no {answer.name or 'FleetLabel'}; install this FleetLabel there"
    if not isinstance(answer, Inspection):
        return f"it cannot say whether it fits ({answer!r}); install this FleetLabel there"
    here = versions()
    differing = [
        f"{name} {answer.versions.get(name)} (here {expected})"
        for name, expected in here.items()
        if answer.versions.get(name) != expected
    ]
    if differing:
        return f"on {answer.host} has {', '.join(differing)}; install the same everywhere"
    if answer.unwritable:
        return f"on {answer.host} cannot write {state.parent}: {answer.unwritable}"
    if answer.unseen:
        return (
            f"on {answer.host} does not see {answer.unseen[0]}; output, weights and drives have to lie at the same "
            "paths of a file system that all workers share"
        )
    return None
