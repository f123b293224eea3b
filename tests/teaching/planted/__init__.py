"""Answers as students write them, right and wrong, planted without a look at the tables of mistakes.

A source is the value that is returned, or a body with `return` in it. Beside a wrong one stands a pattern: words that a
verdict has to use if it names what went wrong.
"""

from typing import NamedTuple


class Planted(NamedTuple):
    right: tuple[str, ...]
    wrong: dict[str, str]
    start: str = ""  # lines that all of these answers begin with
