"""Measures what the pipeline itself does, step by step, against what the machine could do at most."""

from fleetlabel.engine.bench.compare import compare
from fleetlabel.engine.bench.measure import measure
from fleetlabel.engine.bench.predict import predict
from fleetlabel.engine.bench.result import Bench, load_bench

__all__ = ["Bench", "compare", "load_bench", "measure", "predict"]
