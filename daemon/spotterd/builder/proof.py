"""What was shown of a form of INT8 when its ranges were made, on labelled pictures. Pure."""

from pydantic import BaseModel, ConfigDict

MOST_LOSS = 0.01  # of AP50, what INT8 may cost
# Of one class: so that none is lost behind the mean. AP50 of a hundred objects moves by some
# hundredths by chance.
MOST_CLASS_LOSS = 0.05
# The fewest objects in which a loss of 1 % shows with 95 % certainty: 0.99^299 < 0.05 < 0.99^298.
LEAST_OBJECTS = 299


class Proof(BaseModel):
    """AP50 against labels, FP32 and INT8 side by side.

    Attributes:
        form: which form of INT8: another one rounds elsewhere.
        builder: `identity.BUILDER_VERSION` that made it.
        input_hw: height and width of the input that was measured.
        pictures: how many.
        objects: labelled in them.
        ap50_fp32: mean over classes of the average precision at IoU 0.5; ap50_int8: the same.
        ap50_by_class: (FP32, INT8) by label.
        runtime: that computed both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    form: str
    builder: int
    input_hw: tuple[int, int]
    pictures: int
    objects: int
    ap50_fp32: float
    ap50_int8: float
    ap50_by_class: dict[str, tuple[float, float]]
    runtime: str

    @property
    def problem(self) -> str:
        """What speaks against INT8, as part of a sentence; "" if it costs no more than it may."""
        if self.ap50_fp32 - self.ap50_int8 > MOST_LOSS:
            return f"{self.words}, at most {MOST_LOSS:g} less is allowed"
        for label, (fp32, int8) in self.ap50_by_class.items():
            if fp32 - int8 > MOST_CLASS_LOSS:
                return (
                    f"AP50 of class {label} {int8:.3f} after {fp32:.3f} of FP32, measured when its "
                    f"ranges were made, at most {MOST_CLASS_LOSS:g} less is allowed"
                )
        return ""

    @property
    def enough(self) -> bool:
        """It was measured on enough objects to show that."""
        return self.objects >= LEAST_OBJECTS

    @property
    def words(self) -> str:
        """As part of a sentence."""
        return (
            f"AP50 {self.ap50_int8:.3f} after {self.ap50_fp32:.3f} of FP32 on {self.objects} "
            "labelled objects, measured when its ranges were made"
        )
