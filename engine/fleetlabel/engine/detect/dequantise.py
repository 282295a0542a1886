"""Turns an ONNX network with run-time quantisation into the floating-point network that it approximates.

Such a file (ONNX Runtime's ``quantize_dynamic``) keeps 8-bit weights and quantises every activation anew for
each picture. That saves disk, but most processors run the same network faster in floating point, it loses
accuracy, and pictures of one batch influence each other. The 8-bit weights times their scale are exact in
float32.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import ModelFileError

if TYPE_CHECKING:
    import onnx

# The chain that quantize_dynamic makes of one operator: what it starts with, and what takes its place.
_FLOAT_OPERATOR = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}


def can_dequantise() -> bool:
    """Whether the ``onnx`` package, which takes networks apart, is installed."""
    return importlib.util.find_spec("onnx") is not None


def dequantised(path: Path) -> bytes:
    """The floating-point network of a run-time quantised ``.onnx`` file, serialized.

    Raises:
        ModelFileError: an operator is quantised in a way that is not quantize_dynamic's.
    """
    import onnx

    model = onnx.load(path)
    graph = _Graph(model.graph)
    for node in list(model.graph.node):
        if node.op_type in _FLOAT_OPERATOR:
            try:
                graph.replace(node)
            except (KeyError, ValueError, TypeError) as error:
                raise ModelFileError(
                    f"{path}: operator {node.name!r} is quantised in an unknown way ({error!r}); choose "
                    "backend=onnxruntime with precision=int8, or export the model in floating point"
                ) from error
    graph.write_back()
    return bytes(model.SerializeToString())


class _Graph:
    """A network's operators with who makes and who reads each tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self._graph = graph
        self._weights: Mapping[str, Any] = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
        self._maker = {name: node for node in graph.node for name in node.output}
        self._readers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._replacement: dict[str, onnx.NodeProto] = {}  # by the output it makes

    def replace(self, node: onnx.NodeProto) -> None:
        """Plans ``DynamicQuantizeLinear, ConvInteger, Cast, Mul, (Add bias)`` to become one ``Conv``."""
        from onnx import helper, numpy_helper

        quantise = self._maker[node.input[0]]
        if quantise.op_type != "DynamicQuantizeLinear":
            raise ValueError(f"expected DynamicQuantizeLinear before it, found {quantise.op_type}")
        cast = self._only_reader(node.output[0], "Cast")
        scaled = self._only_reader(cast.output[0], "Mul")
        scales = self._maker[_other(scaled, cast.output[0])]
        weight = self._float_weight(node, self._weights[_other(scales, quantise.output[1])])
        name = f"{node.output[0]}_float_weight"
        self._graph.initializer.append(numpy_helper.from_array(weight, name))
        output, inputs = scaled.output[0], [quantise.input[0], name]
        readers = self._readers[output]
        if node.op_type == "ConvInteger" and len(readers) == 1 and readers[0].op_type == "Add":
            bias = self._maker.get(_other(readers[0], output))
            if bias is not None and bias.op_type == "Reshape" and bias.input[0] in self._weights:
                output, inputs = readers[0].output[0], [*inputs, bias.input[0]]
        float_node = helper.make_node(_FLOAT_OPERATOR[node.op_type], inputs, [output], name=node.name)
        float_node.attribute.extend(node.attribute)
        self._replacement[output] = float_node

    def write_back(self) -> None:
        """Puts the replacements in, and leaves out whatever nothing reads any more."""
        wanted = {output.name for output in self._graph.output}
        kept: list[onnx.NodeProto] = []
        for old in reversed(list(self._graph.node)):
            node = next((self._replacement[name] for name in old.output if name in self._replacement), old)
            if any(name in wanted for name in node.output):
                kept.append(node)
                wanted.update(node.input)
        weights = [weight for weight in self._graph.initializer if weight.name in wanted]
        del self._graph.node[:], self._graph.initializer[:], self._graph.value_info[:]
        self._graph.node.extend(reversed(kept))
        self._graph.initializer.extend(weights)

    def _only_reader(self, tensor: str, op_type: str) -> onnx.NodeProto:
        readers = self._readers[tensor]
        if len(readers) != 1 or readers[0].op_type != op_type:
            raise ValueError(
                f"expected one {op_type} behind it, found {[reader.op_type for reader in readers]}"
            )
        return readers[0]

    def _float_weight(self, node: onnx.NodeProto, scale: Any) -> F32:
        """Weights times scale; both zero point and scale are per tensor or per output channel."""
        weight = self._weights[node.input[1]].astype(np.float32)
        zero_point = self._weights[node.input[3]] if len(node.input) > 3 else np.zeros(())
        per_channel = (-1, *[1] * (weight.ndim - 1)) if node.op_type == "ConvInteger" else (1, -1)
        offset = zero_point.astype(np.float32)
        offset = offset.reshape(per_channel) if offset.ndim else offset
        factor = scale.reshape(per_channel) if scale.ndim else scale
        return np.asarray((weight - offset) * factor, dtype=np.float32)


def _other(node: onnx.NodeProto, known: str) -> str:
    """The input of a two-input operator that is not ``known``."""
    first, second = node.input
    if known not in (first, second):
        raise ValueError(f"{node.op_type} {node.name!r} does not read {known!r}")
    return str(second if first == known else first)
