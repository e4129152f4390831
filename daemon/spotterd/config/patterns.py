"""Patterns that texts must match, with words for people who would rather not read the pattern."""

import re

from pydantic import AfterValidator


def matching(pattern: str, words: str) -> AfterValidator:
    """For `Annotated`: a text that matches as a whole, or "must be {words}"."""
    wanted = re.compile(pattern)

    def check(text: str) -> str:
        if not wanted.fullmatch(text):
            raise ValueError(f"must be {words}")
        return text

    return AfterValidator(check)
