"""The detector that comes with the package: for synthetic drives and for trying things out, not for real pictures."""

from __future__ import annotations

from pathlib import Path

BUNDLED = "synthetic"
"""What to write instead of a file's name to use it: ``--model synthetic``."""

_FOLDER = Path(__file__).parent / "weights"


def bundled_file(name: str) -> Path:
    """Where a bundled detector's ONNX file lies; ``.json`` beside it says how it was made and how good it is."""
    return _FOLDER / f"{name}.onnx"


def named_weights(model: object) -> object:
    """The bundled file if ``model`` is its name, anything else as it is."""
    return bundled_file(BUNDLED) if model in (BUNDLED, Path(BUNDLED)) else model
