"""Pictures of a store as files, byte for byte as they came, where a format's readers look for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fleetlabel.engine.exchange.writing import refuse_existing
from fleetlabel.geometry.arrays import I64
from fleetlabel.model.errors import StoreWriteError
from fleetlabel.store import SampleStatus, SequenceStore

_AT_ONCE = 32  # frames; some ten MB


def labelled_pictures(store: SequenceStore, version: str, camera: str) -> I64:
    """Frames (F,) that have a picture which can be used, and that somebody looked for objects in.

    Sources that annotate some frames only say which: the others' pictures show objects that nobody labelled.
    """
    usable = store.camera(camera).status == SampleStatus.OK
    only = store.labels(version).provenance.get("labelled_frames")
    if only is not None:
        looked_at = np.zeros(len(usable), dtype=np.bool_)
        looked_at[np.array(only, dtype=np.int64)] = True
        usable &= looked_at
    return np.flatnonzero(usable).astype(np.int64)


def write_pictures(store: SequenceStore, camera: str, frames: I64, path_of: Callable[[int], Path]) -> int:
    """Writes the pictures of some frames, ascending; returns how many bytes.

    Raises:
        StoreExistsError: one of the files is there already.
        StoreWriteError: the file system refused.
    """
    reader, written, wanted = store.camera(camera), 0, set(frames.tolist())
    for start in range(0, len(reader), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(reader))
        if wanted.isdisjoint(range(start, stop)):
            continue
        for frame, (_, _, data) in enumerate(reader.jpegs(start, stop), start):
            if frame in wanted:
                path = path_of(frame)
                refuse_existing(path)
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                except OSError as error:
                    raise StoreWriteError(f"cannot write {path}: {error.strerror or error}") from error
                written += len(data)
    return written
