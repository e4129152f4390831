"""The gate's rules: what is proven, what is refuted, and what too little was seen of."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.builder.agreement import Figures, Found
from spotterd.builder.gate import LEAST_REFERENCE, judge, likelihood, lost_classes
from spotterd.builder.proof import LEAST_OBJECTS, Proof
from spotterd.config.schema import Gate

PROOF = Proof(
    form="any",
    builder=1,
    input_hw=(640, 640),
    pictures=683,
    objects=647,
    ap50_fp32=0.812,
    ap50_int8=0.806,
    ap50_by_class={},
    runtime="onnxruntime",
)
WEAK = PROOF.model_copy(update={"objects": 40})
ONE_CLASS = PROOF.model_copy(update={"ap50_by_class": {"bird": (0.7, 0.64), "drone": (0.5, 0.5)}})
LOSSY = PROOF.model_copy(update={"ap50_int8": 0.79})


def figures(reference: int = 80, found: int | None = None, **changes: object) -> Figures:
    found = reference if found is None else found
    values = {
        "pictures": 40,
        "reference": reference,
        "recall": found / reference if reference else 0.0,
        "agreement": 1.0,
        "score_shift": 0.01,
        "per_class": {"drone": Found(reference=reference, found=found)} if reference else {},
    }
    return Figures.model_validate(values | changes)


@pytest.mark.parametrize(
    ("seen", "proof", "verdict", "said"),
    [
        (figures(), None, "proven", "recall 1.000 and AP50 1.000 with FP32's own 80 detections"),
        (figures(80, 76), None, "proven", "recall 0.950"),
        (figures(80, 75), None, "refuted", "recall 0.938, at least 0.95 is allowed"),
        (figures(agreement=0.5), None, "refuted", "agreement 0.500, at least 0.9 is allowed"),
        (figures(score_shift=0.2), None, "refuted", "score shift 0.200, at most 0.05 is allowed"),
        # Too few to prove anything; but a collapse shows.
        (figures(LEAST_REFERENCE), None, "proven", ""),
        (figures(LEAST_REFERENCE - 1), None, "not proven", "sees 58 objects in the 40 pictures"),
        (figures(7), None, "not proven", "it takes 59 to notice that one in twenty is lost"),
        (figures(7, 6), None, "not proven", ""),
        (figures(7, 3), None, "refuted", "recall 0.429, at least 0.95 is allowed"),
        (figures(0), None, "not proven", "sees 0 objects"),
        # What was shown when the ranges were made counts where the board shows too little.
        (figures(7), PROOF, "proven", "AP50 0.806 after 0.812 of FP32 on 647 labelled objects"),
        (figures(0), PROOF, "proven", ""),
        (figures(7, 3), PROOF, "refuted", "recall 0.429"),
        (figures(80, 70), PROOF, "refuted", "recall 0.875"),
        (figures(), LOSSY, "refuted", "AP50 0.790 after 0.812 of FP32"),
        (figures(), ONE_CLASS, "refuted", "AP50 of class bird 0.640 after 0.700 of FP32"),
        (figures(7), WEAK, "not proven", ""),
        (figures(), WEAK, "proven", ""),
    ],
)  # fmt: skip
def test_judgement(seen: Figures, proof: Proof | None, verdict: str, said: str) -> None:
    told = judge(seen, Gate(), proof)
    assert told.verdict == verdict
    assert said in told.why


def test_a_class_that_is_lost_is_not_made_up_for_by_the_others() -> None:
    classes = {"drone": Found(reference=97, found=97), "bird": Found(reference=3, found=0)}
    told = judge(figures(100, 97, per_class=classes), Gate())
    assert (told.verdict, told.why) == ("refuted", "of 3 objects of class bird only 0 are found")


@pytest.mark.parametrize(
    ("found", "objects", "lost"),
    [(0, 1, False), (0, 2, True), (1, 3, False), (0, 3, True), (1, 4, True), (2, 5, False),
     (1, 5, True), (5, 10, True), (6, 10, False), (12, 20, True), (13, 20, False), (0, 0, False)],
)  # fmt: skip
def test_one_object_of_a_class_does_not_decide(found: int, objects: int, lost: bool) -> None:
    counted = {"bird": Found(reference=objects, found=found)}
    assert bool(lost_classes(figures(per_class=counted))) is lost


def test_a_user_who_lowers_the_floor_lowers_it_for_classes_too() -> None:
    loose = Gate(recall=0, agreement=0, score_shift=1)
    assert judge(figures(80, 0), loose).verdict == "proven"


def test_the_least_numbers_are_those_of_their_sources() -> None:
    assert 0.95**LEAST_REFERENCE < 0.05 < 0.95 ** (LEAST_REFERENCE - 1)
    assert 0.99**LEAST_OBJECTS < 0.05 < 0.99 ** (LEAST_OBJECTS - 1)


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1))
def test_likelihood_is_the_lower_tail_of_the_binomial(found: int, more: int, recall: float) -> None:
    objects = found + more
    told = likelihood(found, objects, recall)
    exact = sum(
        math.comb(objects, k) * recall**k * (1 - recall) ** (objects - k) for k in range(found + 1)
    )
    assert told == pytest.approx(exact, abs=1e-6)


def test_likelihood_of_thousands_stays_a_number() -> None:
    assert likelihood(4900, 5000, 0.95) == pytest.approx(1)
    assert likelihood(4000, 5000, 0.95) == pytest.approx(0)
