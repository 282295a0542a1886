"""Finding a cluster that runs already: by its address, its scheduler file, or an object of Dask."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fleetlabel.engine.cluster.connection import Connection
from fleetlabel.engine.cluster.opening import closing, one_line, require_dask, silence, undisturbed
from fleetlabel.model.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
REFUSED_S = 5.0


def connect(cluster: object, stack: ExitStack) -> Connection:
    """A connection to a cluster that runs already.

    Args:
        cluster: a scheduler's address or scheduler file, or a cluster or client of Dask.
        stack: closes what is opened here; clusters and clients that were given are left alone.

    Raises:
        ClusterError: nothing answers there, or it is not Dask.
        UsageError: Dask is not installed, or the scheduler file is not there.
    """
    require_dask()
    from distributed import Client

    silence(stack)
    if isinstance(cluster, Client):
        return _connection(cluster)
    told = cluster
    if isinstance(cluster, (str, os.PathLike)):
        told = _address(os.fspath(cluster))
        _knock(told)
    try:
        if isinstance(told, str):
            # A client waits for ever for an answer from something that listens and is no scheduler.
            undisturbed(lambda: asyncio.run(_greet(told)))
        client = undisturbed(
            lambda: stack.enter_context(
                closing(Client(told, timeout=CONNECT_S, set_as_default=False, name="fleetlabel"))
            )
        )
    except Exception as error:  # Dask raises what lies below: OSError, TimeoutError, its own, ValueError
        raise ClusterError(
            f"what is at {told} does not answer as a Dask scheduler does ({one_line(error)}); look whether `dask "
            "scheduler` runs there, and give its address, for example --cluster tcp://host:8786"
        ) from error
    return _connection(client)


def _knock(address: str) -> None:
    """Complains soon if nobody listens: Dask says just that time is up. A scheduler may be starting at the moment.

    Raises:
        ClusterError: nobody does.
    """
    from distributed.comm.addressing import get_address_host_port, parse_address

    until = time.monotonic() + REFUSED_S
    while True:
        try:
            if parse_address(address)[0] in ("tcp", "tls"):
                socket.create_connection(get_address_host_port(address), REFUSED_S).close()
            return
        except ConnectionRefusedError as error:
            if time.monotonic() > until:
                raise _nobody(address, error) from error
            time.sleep(0.2)
        except (OSError, ValueError) as error:  # the latter: no address at all
            raise _nobody(address, error) from error


def _nobody(address: str, error: Exception) -> ClusterError:
    reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
    return ClusterError(
        f"no Dask scheduler answers at {address} ({reason}); start one with `dask scheduler`, and give its address, "
        "for example --cluster tcp://host:8786"
    )


async def _greet(address: str) -> None:
    from distributed import Security
    from distributed.comm import connect as open_comm

    arguments = Security().get_connection_args("client")
    comm = await asyncio.wait_for(open_comm(address, timeout=CONNECT_S, **arguments), CONNECT_S)
    await comm.close()


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
        raise UsageError(f"{path} is no scheduler file of Dask ({one_line(error)})") from error
