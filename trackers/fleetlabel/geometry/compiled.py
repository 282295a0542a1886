"""One way to compile kernels: numba with an on-disk cache that cannot go stale, or plain Python without it.

numba's own cache is refreshed when the file of a function changes, but not when that function calls into, or
takes a constant from, another file that changed (reproduced: it then runs the old code). Here the stamp of
every cached kernel covers all kernel sources it can reach: this package and the folder that the kernel lives
in. Kernels may therefore call kernels of their own folder and of ``fleetlabel.geometry``, and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

try:
    import numba
    from numba.core.caching import FunctionCache

    HAVE_NUMBA = True
except ImportError:  # the same functions then run as ordinary Python on numpy arrays: slower, equal results
    HAVE_NUMBA = False

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., object])


@functools.cache
def _folder_digest(folder: Path) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.digest()


def source_stamp(function: Callable[..., object]) -> bytes:
    """Digest of all source that a kernel can reach: ``fleetlabel.geometry`` and the kernel's own folder."""
    return _folder_digest(Path(__file__).parent) + _folder_digest(Path(inspect.getfile(function)).parent)


def kernel(function: AnyFunction) -> AnyFunction:
    """Compile in nopython mode, cached on disk where some folder is writable (source tree, then user cache).

    A read-only install without a writable home still works: it compiles at each start of the process.
    """
    if not HAVE_NUMBA:
        return function
    compiled = numba.njit(nogil=True)(function)
    if not hasattr(compiled, "_cache"):  # NUMBA_DISABLE_JIT hands the plain function back
        return compiled  # type: ignore[no-any-return]
    try:
        cache = FunctionCache(function)
    except (RuntimeError, OSError):
        return compiled  # type: ignore[no-any-return]
    cache._cache_file._source_stamp = source_stamp(function)
    compiled._cache = cache
    return compiled  # type: ignore[no-any-return]
