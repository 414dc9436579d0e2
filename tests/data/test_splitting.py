import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_bottleneck.data.splitting import stratified_split


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0, 0.99), st.integers(0, 9))
def test_every_class_is_split_alike(labels, share, seed):
    names = [f"{label}/{index}.jpg" for index, label in enumerate(labels)]
    sizes = Counter(labels)
    if share > 0 and max(sizes.values()) == 1:
        with pytest.raises(ValueError, match="^`validation_split` must be 0"):
            stratified_split(names, labels, share, seed)
        return
    train, validation = stratified_split(names, labels, share, seed)
    assert sorted(train + validation) == list(range(len(labels)))
    assert train == sorted(train)
    trained = Counter(labels[index] for index in train)
    for label, size in sizes.items():
        assert trained[label] >= 1
        held_out = size - trained[label]
        assert abs(held_out - size * share) <= 1
        assert (held_out > 0) == (share > 0 and size > 1)


def chosen(names, seed, share=0.3):
    labels = [ord(name[0]) for name in names]
    _, validation = stratified_split(names, labels, share, seed)
    return {names[index] for index in validation}


def test_order_of_the_files_does_not_matter_but_the_seed_does():
    names = [f"{label}/{index}" for label in "ab" for index in range(20)]
    shuffled = random.Random(0).sample(names, len(names))
    assert chosen(names, 0) == chosen(shuffled, 0)
    assert chosen(names, 0) != chosen(names, 1)


def test_the_first_to_validate_are_of_all_classes():
    labels = [label for label in range(10) for _ in range(1000)]
    names = [f"{label}/{index}" for index, label in enumerate(labels)]
    _, validation = stratified_split(names, labels, 0.2, seed=0)
    first = Counter(labels[index] for index in validation[:200])
    assert min(first[label] for label in range(10)) >= 8


def test_another_class_does_not_matter():
    names = [f"a/{index}" for index in range(20)]
    more = names + [f"b/{index}" for index in range(7)]
    assert chosen(names, 0) == {name for name in chosen(more, 0) if name.startswith("a")}
