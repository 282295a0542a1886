"""Makes an ultralytics ``.pt`` of a run-time quantised yolo11 ``.onnx``, for measurements on a GPU.

    python benchmarks/gpu_weights.py yolo11n_int8.onnx .gpu/yolo11n.pt

ultralytics' own network, fused, gets the file's weights by name (8 bits times their scale are exact in float32);
before it is written both must give the same for random pictures. The ``.pt`` has the licence of the ``.onnx``.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import numpy as np
import onnx
import torch

from fleetlabel.engine.detect.dequantise import dequantised
from fleetlabel.engine.detect.torch_backend import prepare_ultralytics

TOLERANCE = 2e-3  # of scores; boxes, in network pixels, may be off by a hundred times as much


def float_convolutions(graph: onnx.GraphProto) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Weights and bias of every convolution, by the name of its layer (``model.0.conv``)."""
    arrays = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        bias = node.input[2] if len(node.input) > 2 else ""
        # A convolution without bias is the head's sum over distances, which has one name.
        layer = bias.removesuffix(".bias") if bias else "model.23.dfl.conv"
        found[layer] = arrays[node.input[1]], arrays[bias] if bias else None
    return found


def fill(network: torch.nn.Module, convolutions: dict[str, tuple[np.ndarray, np.ndarray | None]]) -> None:
    """Copies weights into the layers of those names; all of both must be used."""
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, torch.nn.Conv2d)}
    if layers.keys() != convolutions.keys():
        raise SystemExit(f"layers differ: {sorted(layers.keys() ^ convolutions.keys())}")
    with torch.no_grad():
        for name, (weight, bias) in convolutions.items():
            layers[name].weight.copy_(torch.from_numpy(weight.copy()))
            if bias is not None:
                layers[name].bias.copy_(torch.from_numpy(bias.copy()))


def main() -> None:
    """Converts, compares, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("onnx", type=Path)
    parser.add_argument("pt", type=Path)
    parser.add_argument("--architecture", default="yolo11n.yaml")
    given = parser.parse_args()

    prepare_ultralytics()
    import onnxruntime
    from ultralytics import YOLO

    serialized = dequantised(given.onnx)
    model = onnx.load_from_string(serialized)
    yolo = YOLO(given.architecture, task="detect", verbose=False)
    network = yolo.model.float().eval().fuse(verbose=False)
    fill(network, float_convolutions(model.graph))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    network.names = ast.literal_eval(metadata["names"])
    network.args = {**getattr(network, "args", {}), "imgsz": 640}

    session = onnxruntime.InferenceSession(serialized, providers=["CPUExecutionProvider"])
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    noise = np.random.default_rng(0).random((1, 3, side // 16, side // 16), dtype=np.float32)
    picture = np.ascontiguousarray(noise.repeat(16, axis=2).repeat(16, axis=3))
    expected = session.run(None, {model.graph.input[0].name: picture})[0]
    with torch.inference_mode():
        got = network(torch.from_numpy(picture))
    got = (got[0] if isinstance(got, tuple) else got).numpy()
    gap = np.abs(got - expected)
    print(f"largest difference: scores {gap[:, 4:].max():.2e}, boxes {gap[:, :4].max():.2e} px")
    if gap[:, 4:].max() > TOLERANCE or gap[:, :4].max() > 100 * TOLERANCE:
        raise SystemExit("the network does not give what the file gives")
    given.pt.parent.mkdir(parents=True, exist_ok=True)
    yolo.save(str(given.pt))


if __name__ == "__main__":
    main()
