"""Detectors that stay loaded between tasks: loading weights takes longer than a task's pictures do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetlabel.engine.detect import DetectConfig, Detector, load_weights

_lock = threading.Lock()
_idle: list[Detector] = []
_wanted: tuple[Path, DetectConfig] | None = None


@contextmanager
def warm_detector(model: Path, config: DetectConfig) -> Iterator[Detector]:
    """Lends one of this process's detectors.

    As many are loaded as are used at the same time, each once; they are kept until another model or configuration is
    asked for.

    Raises:
        ModelFileError: the weights cannot be used.
        UsageError: nothing here can run them with these settings.
    """
    global _wanted
    with _lock:
        if _wanted != (model, config):
            _close_idle()
            _wanted = (model, config)
        detector = _idle.pop() if _idle else None
    if detector is None:
        detector = Detector(load_weights(model, trust_pickle=config.trust_pickle), config)
    try:
        yield detector
    finally:
        with _lock:
            if _wanted == (model, config):
                _idle.append(detector)
            else:
                detector.close()


def forget_detectors() -> None:
    """Closes the detectors that are kept: nothing more is to be detected here."""
    global _wanted
    with _lock:
        _close_idle()
        _wanted = None


def _close_idle() -> None:
    while _idle:
        _idle.pop().close()
