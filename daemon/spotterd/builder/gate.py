"""The gate: may a built engine be used in place of the FP32 model? Pure.

INT8 can collapse without any error message, for all classes or for one. What is compared with FP32
are counts, so the rules are those of counts (docs/decisions/gate.md): from too few objects nothing
is proven, though a collapse shows in few.
"""

import math
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from spotterd.builder.agreement import Figures
from spotterd.builder.proof import Proof
from spotterd.config.schema import Gate

CHANCE = 0.05  # what would happen by chance less often than this is taken for real
# The fewest objects in which a loss of 5 % shows with 95 % certainty: 0.95^59 < 0.05 < 0.95^58.
# (Hanley, Lippman-Hand: "If nothing goes wrong, is everything all right?", JAMA 249, 1983.)
LEAST_REFERENCE = 59
CLASS_RECALL = 0.8  # an engine that finds fewer of one class has lost something

Verdict: TypeAlias = Literal["proven", "not proven", "refuted"]


class Judgement(BaseModel):
    """What the gate says of an engine.

    Attributes:
        verdict: "proven", or "refuted", or "not proven": nothing speaks against it, but too little
            was seen to rely on it.
        why: as part of a sentence, for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: Verdict
    why: str


def judge(figures: Figures, floor: Gate, proof: Proof | None = None) -> Judgement:
    """Judge an engine by what it saw here, and by what was shown of its like when it was made.

    Args:
        figures: on this machine, on pictures that did not calibrate it.
        floor: the user's limits.
        proof: on labelled pictures, for exactly this form of this model.
    """
    few = figures.reference < LEAST_REFERENCE
    against = _shortfalls(figures, floor) if not few else _collapse(figures, floor)
    against += lost_classes(figures, min(CLASS_RECALL, floor.recall))
    shown = proof if proof is not None and proof.enough else None
    if shown is not None and shown.problem:
        against.append(shown.problem)
    if against:
        return Judgement(verdict="refuted", why="; ".join(against))
    if shown is not None:
        return Judgement(verdict="proven", why=f"{in_words(figures)}; {shown.words}")
    if not few:
        return Judgement(verdict="proven", why=in_words(figures))
    return Judgement(
        verdict="not proven",
        why=f"FP32 sees {figures.reference} objects in the {figures.pictures} pictures to judge "
        f"by, and it takes {LEAST_REFERENCE} to notice that one in twenty is lost",
    )


def in_words(figures: Figures) -> str:
    """The figures in short."""
    if not figures.reference:
        return "FP32 sees nothing in the pictures to judge by"
    return (
        f"recall {figures.recall:.3f} and AP50 {figures.agreement:.3f} with FP32's own "
        f"{figures.reference} detections as the truth, score shift {figures.score_shift:.3f}"
    )


def lost_classes(figures: Figures, recall: float = CLASS_RECALL) -> list[str]:
    """Classes of which so few are found that chance does not explain it.

    One object never decides (0 of 1 happens by chance in one case of five); 0 of 2 do, and so do
    1 of 5 or 12 of 20.
    """
    return [
        f"of {count.reference} objects of class {label} only {count.found} are found"
        for label, count in figures.per_class.items()
        if likelihood(count.found, count.reference, recall) < CHANCE
    ]


def likelihood(found: int, objects: int, recall: float) -> float:
    """How likely it is to find so few or fewer, if each is found with a probability of `recall`.

    The lower tail of the binomial distribution, in logarithms: its factors leave the floats.
    """
    if not 0 < recall < 1:
        return float(recall <= 0 or found == objects)
    hit, miss = math.log(recall), math.log(1 - recall)
    ways = math.lgamma(objects + 1)
    return math.fsum(
        math.exp(
            ways
            - math.lgamma(k + 1)
            - math.lgamma(objects - k + 1)
            + k * hit
            + (objects - k) * miss
        )
        for k in range(found + 1)
    )


def _collapse(figures: Figures, floor: Gate) -> list[str]:
    """In few objects, only a loss that chance does not explain says something."""
    found = sum(count.found for count in figures.per_class.values())
    if likelihood(found, figures.reference, floor.recall) >= CHANCE:
        return []
    return [f"recall {figures.recall:.3f}, at least {floor.recall:g} is allowed"]


def _shortfalls(figures: Figures, floor: Gate) -> list[str]:
    return [
        f"{name} {value:.3f}, {word} {limit:g} is allowed"
        for name, value, limit, word, bad in (
            ("recall", figures.recall, floor.recall, "at least", figures.recall < floor.recall),
            (
                "agreement",
                figures.agreement,
                floor.agreement,
                "at least",
                figures.agreement < floor.agreement,
            ),
            (
                "score shift",
                figures.score_shift,
                floor.score_shift,
                "at most",
                figures.score_shift > floor.score_shift,
            ),
        )
        if bad
    ]
