from __future__ import annotations

from itertools import combinations

from fleetlabel.model import ontology


def test_vocabularies_agree_on_every_shared_name() -> None:
    for (_, first), (_, second) in combinations(ontology.VOCABULARIES.items(), 2):
        shared = {name.lower() for name in first} & {name.lower() for name in second}
        by_folded = [{name.lower(): known for name, known in v.items()} for v in (first, second)]
        assert all(by_folded[0][name] == by_folded[1][name] for name in shared)


def test_every_target_is_a_class() -> None:
    targets = {known for vocabulary in ontology.VOCABULARIES.values() for known in vocabulary.values()}
    assert targets <= set(ontology.CLASSES)


def test_unknown_names_are_kept_and_reported_and_off_road_ones_kept_silently() -> None:
    mapped = ontology.class_map(["person", "toaster", "hovercraft", "Car", "hovercraft"])
    names = [mapped.class_names[i] for i in mapped.class_id]
    assert names == ["pedestrian", "toaster", "hovercraft", "car", "hovercraft"]
    assert mapped.unknown == ("hovercraft",)
