"""Workers of this machine: processes of one thread each, which are replaced when they die."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fleetlabel.engine.cluster.connect import CONNECT_S
from fleetlabel.engine.cluster.connection import Connection
from fleetlabel.engine.cluster.opening import closing, one_line, require_dask, silence, undisturbed
from fleetlabel.model.errors import ClusterError

if TYPE_CHECKING:
    from distributed import LocalCluster

_CLOSE_S = 15.0
# Workers that a task may take with it, less one, before it is tried in a process of its own.
_ALLOWED_FAILURES = 1
_SILENT = 50  # a log level: what workers die of is told by us


def start_local(workers: int, stack: ExitStack, *, gpus: Sequence[str] = ()) -> Connection:
    """Workers of this machine: processes of one thread each, replaced when they die.

    Args:
        workers: how many, those with a GPU included.
        stack: ends them.
        gpus: as CUDA names them; as many workers see one each, and offer the resource ``GPU``. Workers may share one.

    Raises:
        UsageError: Dask is not installed.
        ClusterError: they do not start.
    """
    require_dask()
    import dask

    silence(stack)
    settings = {
        "distributed.scheduler.allowed-failures": _ALLOWED_FAILURES,
        "distributed.comm.timeouts.connect": f"{CONNECT_S:g}s",
        # The ledger says where time goes; Dask's profiles cost time and, in each process, some 20 MB.
        "distributed.worker.profile.enabled": False,
    }
    stack.enter_context(dask.config.set(settings))
    try:
        return undisturbed(lambda: _start(workers, stack, gpus))
    except (OSError, TimeoutError, RuntimeError) as error:
        raise ClusterError(f"workers do not start on this machine: {one_line(error)}") from error


def _start(workers: int, stack: ExitStack, gpus: Sequence[str]) -> Connection:
    from distributed import Client, LocalCluster

    dashboard = "127.0.0.1:0" if find_spec("bokeh") else None
    cluster = LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=dashboard,
        silence_logs=_SILENT,
    )
    stack.callback(_close, cluster)
    plain = cluster.new_spec
    for number in range(workers):
        cluster.new_spec = _seeing(plain, gpus[number : number + 1]) if gpus else plain
        cluster.scale(number + 1)
    client = stack.enter_context(closing(Client(cluster, set_as_default=False, name="fleetlabel")))
    client.wait_for_workers(workers, timeout=60)
    return Connection(client, "this machine", cluster.dashboard_link if dashboard else None)


def _seeing(spec: dict[str, Any], gpus: Sequence[str]) -> dict[str, Any]:
    """A worker's specification with some GPUs and no others."""
    seen = {"env": {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}, "resources": {"GPU": len(gpus)} if gpus else {}}
    return spec | {"options": spec["options"] | seen}


def _close(cluster: LocalCluster) -> None:
    """Ends workers; one that is just being replaced may never answer, and dies with this process in any case."""
    with suppress(TimeoutError):
        cluster.close(timeout=_CLOSE_S)
