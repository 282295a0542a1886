"""The contract that every inference library is brought under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fleetlabel.geometry.arrays import F32


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One way to run a model.

    Attributes:
        backend: ``torch``, ``onnxruntime``, ``openvino`` or ``tensorrt``.
        device: ``cpu`` or ``cuda``.
        precision: ``fp32``, ``bf16`` or ``fp16``: the arithmetic of what is not quantised.
    """

    backend: str
    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.backend} {self.device} {self.precision}"


class Backend(Protocol):
    """A loaded network. ``forward`` may be called from several threads at once.

    Attributes:
        spec: how it runs.
        version: of the library.
    """

    spec: BackendSpec
    version: str

    def forward(self, batch: F32) -> F32:
        """Output of the network, float32, (B, 4 + n_classes, A) or (B, N, 6) by the weights' head.

        Args:
            batch: (B, 3, H, W) float32 RGB, 0..1, C-contiguous.
        """
        ...
