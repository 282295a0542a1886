"""Opening and closing what is Dask's, whatever comes between: Ctrl-C, a scheduler that is gone, its own chatter."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, TypeVar

from fleetlabel.model.errors import UsageError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

_MESSAGES_KEPT = 10


def require_dask() -> None:
    """Complains if Dask is not installed.

    Raises:
        UsageError: it is not.
    """
    if find_spec("distributed") is None:
        raise UsageError(
            f"workers need Dask, which is not installed for {sys.executable}; install fleetlabel[cluster], or "
            "label on threads with --threads"
        )


def undisturbed(work: Callable[[], T]) -> T:
    """Does something with Dask to its end before Ctrl-C interrupts: cut short, it can neither be used nor closed.

    Processes that it starts do not see Ctrl-C, which reaches the whole foreground: the driver decides what stops.
    """

    def deaf() -> T:
        resource_tracker.ensure_running()  # whoever starts it hears signals again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what is begun here inherits it
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(deaf).result()


def silence(stack: ExitStack) -> None:
    """Keeps Dask, until the stack is closed, from telling in tracebacks what errors of ours tell in a sentence, and
    from remembering its last thousand messages, with the tasks in them, for whoever debugs it.
    """
    import dask
    import distributed  # noqa: F401 - which sets its loggers up

    for name in ("distributed", "distributed.client"):
        logger = logging.getLogger(name)
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)
    stack.enter_context(dask.config.set({"distributed.admin.low-level-log-length": _MESSAGES_KEPT}))


class closing:
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


def one_line(error: BaseException) -> str:
    """What an error says, short."""
    return " ".join(str(error).split())[:200] or type(error).__name__
