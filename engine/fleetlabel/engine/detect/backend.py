"""The contract that every inference library is brought under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fleetlabel.geometry.arrays import F32

if TYPE_CHECKING:
    import torch


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

    @property
    def keeps_pictures_on_device(self) -> bool:
        """Whether the backend is a :class:`DeviceBackend` on a GPU, so that pixels need not pass the CPU's memory."""
        return self.device == "cuda" and self.backend in ("torch", "tensorrt")

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


class DeviceBackend(Backend, Protocol):
    """A network that can be fed and read where it runs, without passing the CPU's memory.

    Attributes:
        device: where it runs.
        dtype: of its inputs.
        can_be_captured: whether ``on_device`` may become part of a CUDA graph.
    """

    device: torch.device
    dtype: torch.dtype
    can_be_captured: bool

    def on_device(self, batch: torch.Tensor) -> torch.Tensor:
        """Output of the network as ``forward`` gives it, of any floating type; on the current stream.

        Args:
            batch: (B, 3, H, W) RGB of ``dtype``, 0..1, on ``device``.
        """
        ...

    def held(self) -> list[torch.Tensor]:
        """Tensors that the last call of ``on_device`` used and a later one with another size may let go."""
        ...
