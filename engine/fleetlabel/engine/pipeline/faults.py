"""What can go wrong with a task, said so that it survives the way from a worker to its driver."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from enum import Enum

from fleetlabel.model.errors import FleetLabelError

# Refusals of a file system or a network that has hiccups; the same call may succeed in a moment.
_TRANSIENT = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "EINTR", "EIO",
        "ENETDOWN", "ENETRESET", "ENETUNREACH", "ENOTCONN", "EPIPE", "EREMOTEIO", "ESTALE", "ETIMEDOUT",
    )
)  # fmt: skip
_OF_STORAGE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Trouble(Enum):
    """Why a task did not end well."""

    ERROR = "it raised an error"
    TRANSIENT = "the file system or the network had a hiccup"
    KILLED = "its worker died, more than once"


@dataclass(frozen=True, slots=True)
class Fault:
    """A task's failure.

    Attributes:
        trouble: its kind.
        reason: in words.
        of_storage: nothing can be written where the task was; others will meet the same.
        error: what was raised, where it need not travel.
    """

    trouble: Trouble
    reason: str
    of_storage: bool = False
    error: BaseException | None = field(default=None, compare=False)


def fault_of(error: BaseException) -> Fault:
    """An error that a task raised; what it was raised from counts as well."""
    numbers = _os_errors(error)
    trouble = Trouble.TRANSIENT if numbers & _TRANSIENT else Trouble.ERROR
    on_purpose = isinstance(error, FleetLabelError)
    reason = str(error) if on_purpose else f"{type(error).__name__}: {error}"
    return Fault(trouble, reason, bool(numbers & _OF_STORAGE), error)


def _os_errors(error: BaseException) -> frozenset[int]:
    numbers = set()
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            numbers.add(cause.errno)
        cause = cause.__cause__
    return frozenset(numbers)
