"""Finding workers: a cluster that runs already, or processes of this machine; and refusing those that do not fit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlabel.engine.cluster.inspection import Inspection, inspect, versions
from fleetlabel.model.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

    from fleetlabel.engine.detect import DetectConfig

CONNECT_S = 10.0
_CLOSE_S = 15.0
# Workers that a task may take with it, less one, before it is tried in a process of its own.
_ALLOWED_FAILURES = 1


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
            raise ClusterError(f"a worker cannot load {model}: {_one_line(error)}") from error

    def _cool(self, plugin: str) -> None:
        if self.client.status == "running":
            with suppress(Exception):  # a worker that is gone has forgotten as well
                self.client.unregister_worker_plugin(plugin)

    def _workers(self) -> dict[str, dict[str, Any]]:
        workers: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return workers


def connect(cluster: object, stack: ExitStack) -> Connection:
    """A connection to a cluster that runs already.

    Args:
        cluster: a scheduler's address or scheduler file, or a cluster or client of Dask.
        stack: closes what is opened here; clusters and clients that were given are left alone.

    Raises:
        ClusterError: nothing answers there, or it is not Dask.
        UsageError: Dask is not installed, or the scheduler file is not there.
    """
    _require_dask()
    from distributed import Client

    if isinstance(cluster, Client):
        return _connection(cluster)
    told = cluster
    if isinstance(cluster, (str, os.PathLike)):
        told = _address(os.fspath(cluster))
    try:
        if isinstance(told, str):
            # A client waits for ever for an answer from something that listens and is no scheduler.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _greet(told)).result()
        client = stack.enter_context(
            _closing(Client(told, timeout=CONNECT_S, set_as_default=False, name="fleetlabel"))
        )
    except Exception as error:  # Dask raises what lies below: OSError, TimeoutError, its own, ValueError
        raise ClusterError(
            f"no Dask scheduler answers at {told} ({_one_line(error)}); start one with `dask scheduler`, and give its "
            "address, for example --cluster tcp://host:8786"
        ) from error
    return _connection(client)


async def _greet(address: str) -> None:
    from distributed import Security
    from distributed.comm import connect as open_comm

    arguments = Security().get_connection_args("client")
    comm = await asyncio.wait_for(open_comm(address, timeout=CONNECT_S, **arguments), CONNECT_S)
    await comm.close()


def start_local(workers: int, stack: ExitStack, *, gpus: Sequence[str] = ()) -> Connection:
    """Workers of this machine: processes of one thread each, replaced when they die.

    Args:
        workers: how many, those with a GPU included.
        stack: ends them.
        gpus: as CUDA names them; as many workers see one each, and offer the resource ``GPU``.

    Raises:
        UsageError: Dask is not installed.
        ClusterError: they do not start.
    """
    _require_dask()
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": _ALLOWED_FAILURES,
        "distributed.comm.timeouts.connect": f"{CONNECT_S:g}s",
    }
    stack.enter_context(dask.config.set(settings))
    try:
        cluster = LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0" if find_spec("bokeh") else None,
            silence_logs=50,  # what workers die of is told by us
            preload="fleetlabel.engine.cluster.ignore_interrupts",
        )
        stack.callback(_close, cluster)
        plain = cluster.new_spec
        for number in range(workers):
            cluster.new_spec = _seeing(plain, gpus[number : number + 1]) if gpus else plain
            cluster.scale(number + 1)
        client = stack.enter_context(_closing(Client(cluster, set_as_default=False, name="fleetlabel")))
        client.wait_for_workers(workers, timeout=60)
    except (OSError, TimeoutError, RuntimeError) as error:
        raise ClusterError(f"workers do not start on this machine: {_one_line(error)}") from error
    return Connection(client, "this machine", cluster.dashboard_link if find_spec("bokeh") else None)


def _seeing(spec: dict[str, Any], gpus: Sequence[str]) -> dict[str, Any]:
    """A worker's specification with some GPUs and no others."""
    seen = {"env": {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}, "resources": {"GPU": len(gpus)} if gpus else {}}
    return spec | {"options": spec["options"] | seen}


def _connection(client: Client) -> Connection:
    address = client.scheduler.address if client.scheduler is not None else "?"
    return Connection(client, address, client.dashboard_link or None)


def _address(text: str) -> str:
    if "://" in text or (":" in text and not Path(text).exists()):
        return text if "://" in text else f"tcp://{text}"
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"--cluster {text} is neither an address such as tcp://host:8786 nor a scheduler file that exists"
        )
    try:
        return str(json.loads(path.read_bytes())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no scheduler file of Dask ({_one_line(error)})") from error


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


def _require_dask() -> None:
    if find_spec("distributed") is None:
        raise UsageError(
            f"workers need Dask, which is not installed for {sys.executable}; install fleetlabel[cluster], or "
            "label on threads with --threads"
        )


def _close(cluster: LocalCluster) -> None:
    """Ends workers; one that is just being replaced may never answer, and dies with this process in any case."""
    with suppress(TimeoutError):
        cluster.close(timeout=_CLOSE_S)


class _closing:
    """Closes a client; one whose scheduler is gone takes no time for it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> Client:
        return self._client

    def __exit__(self, *_: object) -> None:
        try:
            self._client.close(timeout=2)
        except Exception:
            return  # it is gone in any case


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
