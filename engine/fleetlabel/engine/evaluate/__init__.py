"""How good labels are: against the source's ground truth, by stated rules."""

from fleetlabel.engine.evaluate.evaluate import evaluate
from fleetlabel.engine.evaluate.report import Report, Scores

__all__ = ["Report", "Scores", "evaluate"]
