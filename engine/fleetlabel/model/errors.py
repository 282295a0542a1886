"""One tree of errors for the whole project.

Each also derives from the builtin error that a caller who does not know FleetLabel would expect. Messages say what
was wrong, what was expected, what was found and what to do, and name the file, frame or row.
"""

from __future__ import annotations


class FleetLabelError(Exception):
    """Root of every error that FleetLabel raises on purpose."""


class UsageError(FleetLabelError, ValueError):
    """The caller asked for something that cannot be: a wrong option, two options that exclude each other."""


class InterruptedRunError(FleetLabelError):
    """A person stopped a run; what it had committed is kept."""


class SourceError(FleetLabelError, ValueError):
    """A drive log, or one of its files, cannot be read as what it should be."""


class UnsafeFileError(SourceError):
    """A file would run code when loaded; it was refused."""


class DecodeError(SourceError):
    """A picture's bytes cannot be decoded."""


class ModelFileError(FleetLabelError, ValueError):
    """Weights cannot be used: not a model, damaged, or a model of another task."""


class ClusterError(FleetLabelError, RuntimeError):
    """Workers cannot be reached, do not fit, or were lost."""


class EditError(FleetLabelError, ValueError):
    """An edit of labels cannot be done: it contradicts itself, the labels or the sequence."""


class CatalogError(FleetLabelError, RuntimeError):
    """The engine's catalog cannot be opened or written."""


class OperationNotFoundError(FleetLabelError, LookupError):
    """The engine knows no such operation (any more)."""


class CancelledOperationError(FleetLabelError):
    """Somebody cancelled an operation; what it had committed is kept."""


class LimitError(FleetLabelError, RuntimeError):
    """A client has as much going on as one may have at a time."""


class UnknownTokenError(FleetLabelError, PermissionError):
    """A token is none of this engine's, has expired or was revoked."""


class AccessError(FleetLabelError, PermissionError):
    """Who asks may not do that."""


class OutsideRootsError(AccessError):
    """A path or address is not in the folders that the engine may touch."""


class StoreError(FleetLabelError):
    """A store cannot be opened or written."""


class StoreExistsError(StoreError, FileExistsError):
    """The output already exists and was not said to be resumed or overwritten."""


class RequestIdError(StoreExistsError, UsageError):
    """A request id was used before, for something else."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store, or no such part, sensor, stage or label version in it."""


class StoreDeletedError(StoreNotFoundError):
    """A person deleted the store on purpose; all that is left is its tombstone."""


class CorruptStoreError(StoreError, ValueError):
    """Committed data is not what its commit record says."""


class StoreWriteError(StoreError, OSError):
    """The file system refused a write: full, read-only or not permitted."""


class ScratchTakenError(StoreWriteError):
    """What was being written was cleared away by a process that took its writer for dead."""
