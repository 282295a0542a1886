"""Fixtures: a model with a known answer, and checkpoints as ultralytics saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from detect.small_models import square_finder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The detector of squares with a fixed input of 96 x 96 pixels."""
    return square_finder(tmp_path / "squares.onnx")


@pytest.fixture(scope="session")
def ultralytics_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes checkpoints of tiny untrained networks as ultralytics saves them."""
    pytest.importorskip("ultralytics", reason="ultralytics is not installed: no .pt files to make")
    from fleetlabel.engine.detect.torch_backend import prepare_ultralytics

    prepare_ultralytics()
    import torch
    from ultralytics import YOLO

    folder = tmp_path_factory.mktemp("checkpoints")

    def make(architecture: str, *, end_to_end: bool = False) -> Path:
        path = folder / f"{architecture}{'-e2e' * end_to_end}.pt"
        if not path.exists():
            torch.manual_seed(0)
            network = YOLO(f"{architecture}.yaml", verbose=False)
            head = network.model.model[-1]
            # Untrained class scores are all alike: spread them, so that there is something to compare.
            for branch in [*head.cv3, *getattr(head, "one2one_cv3", [])]:
                branch[-1].weight.data.normal_(0, 1.0)
                branch[-1].bias.data.normal_(-4, 1.0)
            if end_to_end:
                head.end2end = True
            network.save(str(path))
        return path

    return make
