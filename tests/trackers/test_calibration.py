"""Confidences become probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlabel.trackers import calibrate


def test_the_even_point_becomes_one_half_and_order_is_kept() -> None:
    score = np.linspace(0.0, 1.0, 101)
    probability = calibrate(score, 0.25)
    assert probability[25] == pytest.approx(0.5)
    assert (np.diff(probability) > 0).all()
    assert probability[[0, -1]].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(calibrate(probability, 0.75), score, atol=1e-12)


@pytest.mark.parametrize("even_at", [0.0, 1.0, -0.5])
def test_certainties_are_no_even_point(even_at: float) -> None:
    with pytest.raises(ValueError, match="expected a confidence between 0 and 1"):
        calibrate(np.array([0.5]), even_at)
