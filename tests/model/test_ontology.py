"""Class names of all vocabularies, and how a source's class numbers become ours."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.model import ontology

_KNOWN = sorted({name for vocabulary in ontology.VOCABULARIES.values() for name in vocabulary})
_NAMES = st.one_of(
    st.sampled_from(_KNOWN), st.sampled_from(sorted(ontology.COCO_OFF_ROAD)), st.text(max_size=8)
)


def test_vocabularies_agree_on_every_shared_name() -> None:
    for (_, first), (_, second) in combinations(ontology.VOCABULARIES.items(), 2):
        by_folded = [{ontology._fold(name): known for name, known in v.items()} for v in (first, second)]
        shared = by_folded[0].keys() & by_folded[1].keys()
        assert all(by_folded[0][name] == by_folded[1][name] for name in shared)


def test_every_target_is_a_class_and_every_class_maps_to_itself() -> None:
    targets = {known for vocabulary in ontology.VOCABULARIES.values() for known in vocabulary.values()}
    assert targets <= set(ontology.CLASSES)
    assert len(set(ontology.CLASSES)) == len(ontology.CLASSES)
    assert set(ontology.CLASSES) >= ontology.LIFTED_CLASSES
    assert [ontology.canonical(name) for name in ontology.CLASSES] == list(ontology.CLASSES)


def test_all_80_names_of_coco_are_known() -> None:
    assert len(ontology.COCO) + len(ontology.COCO_OFF_ROAD) == 80
    assert not ontology.COCO_OFF_ROAD & ontology.COCO.keys()
    assert ontology.class_map([*ontology.COCO, *sorted(ontology.COCO_OFF_ROAD)]).unknown == ()


def test_unknown_names_are_kept_and_reported_and_off_road_ones_kept_silently() -> None:
    mapped = ontology.class_map(["person", "toaster", "hovercraft", "Car", "hovercraft"])
    names = [mapped.class_names[i] for i in mapped.class_id]
    assert names == ["pedestrian", "toaster", "hovercraft", "car", "hovercraft"]
    assert mapped.unknown == ("hovercraft",)


@pytest.mark.parametrize("name", ["Traffic Light", "traffic_light", "TRAFFIC-LIGHT", " traffic light "])
def test_spelling_does_not_matter(name: str) -> None:
    assert ontology.canonical(name) == "traffic_light"


@given(st.lists(_NAMES, max_size=12))
def test_a_class_never_becomes_another(names: list[str]) -> None:
    mapped = ontology.class_map(names)
    assert mapped.class_names[: len(ontology.CLASSES)] == ontology.CLASSES
    assert len(set(mapped.class_names)) == len(mapped.class_names)
    assert mapped.class_id.dtype == np.int16
    for name, row in zip(names, mapped.class_id, strict=True):
        known = ontology.canonical(name)
        assert mapped.class_names[row] == (name if known is None else known)
        assert (name in mapped.unknown) == (known is None and name not in ontology.COCO_OFF_ROAD)
