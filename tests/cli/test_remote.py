"""KEY=VALUE, and one patch that does what two do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.cli.distant import after
from spotterd.cli.linked import tree_of
from spotterd.config.merge import merge
from spotterd.errors import BadInputError


def test_assignments_make_a_tree() -> None:
    told = [
        "detector.score=0.5",
        "cameras.main.source=usb:0",
        "events.zones.old=null",
        "a={b: [1]}",
    ]
    assert tree_of(told) == {
        "detector": {"score": 0.5},
        "cameras": {"main": {"source": "usb:0"}},
        "events": {"zones": {"old": None}},
        "a": {"b": [1]},
    }


@pytest.mark.parametrize(
    "told",
    [["a"], ["=1"], ["a..b=1"], ["a=1", "a=2"], ["a=1", "a.b=2"], ["a=[1"], ["a.b=1", "a=2"]],
)
def test_what_is_no_assignment_is_refused(told: list[str]) -> None:
    with pytest.raises(BadInputError):
        tree_of(told)


leaves = st.none() | st.integers(0, 3)
patches = st.recursive(
    st.dictionaries(st.sampled_from("abc"), leaves),
    lambda inner: st.dictionaries(st.sampled_from("abc"), leaves | inner),
)


@given(base=patches, first=patches, second=patches)
def test_a_wish_that_waits_is_not_lost_by_the_next(base, first, second) -> None:
    base = merge({}, base)
    if any(_replaces(first, second)):
        return  # a value that makes room for a section; the configuration has no such places
    assert merge(base, after(first, second)) == merge(merge(base, first), second)


def _replaces(first: dict, second: dict):
    for key in first.keys() & second.keys():
        if isinstance(first[key], dict) and isinstance(second[key], dict):
            yield from _replaces(first[key], second[key])
        else:
            yield isinstance(second[key], dict)
