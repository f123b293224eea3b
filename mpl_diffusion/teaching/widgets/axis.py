"""One named axis of a grid of pictures."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A name, the values it takes, and the text that stands for each."""

    name: str
    values: tuple
    ticks: tuple[str, ...]
    label: str

    @classmethod
    def of(cls, name: str, values: Iterable, label: str | None = None) -> "Axis":
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"the axis {name} needs a list of values, not {values!r}")
        values = tuple(value.item() if hasattr(value, "item") else value for value in values)
        if any(isinstance(value, float) and math.isnan(value) for value in values):
            raise ValueError(f"the axis {name} holds NaN")
        ticks = tuple(map(format_value, values))
        if not values:
            raise ValueError(f"the axis {name} has no values")
        if len(set(ticks)) < len(ticks):
            raise ValueError(f"the axis {name} has values that read the same: {', '.join(ticks)}")
        return cls(name, values, ticks, label or name)

    @property
    def numeric(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def buttons(self) -> bool:
        """A few names are chosen from a row, numbers are slid through; so are more names than fit in a row."""
        return len(self.values) <= (3 if self.numeric else 8)

    def index(self, value) -> int:
        """Where a value stands; 0.1 + 0.2 stands where 0.3 does."""
        value = value.item() if hasattr(value, "item") else value
        numbers = self.numeric and isinstance(value, int | float)
        for k, mine in enumerate(self.values):
            same = mine == value or (numbers and math.isclose(mine, value, rel_tol=1e-6, abs_tol=1e-9))
            if same and isinstance(mine, bool) == isinstance(value, bool):  # for Python, True == 1
                return k
        few = len(self.values) <= 12
        allowed = ", ".join(self.ticks) if few else ", ".join(self.ticks[:3]) + f", ..., {self.ticks[-1]}"
        raise ValueError(f"{self.name} = {value!r} is not on the grid: {allowed}")

    def __str__(self) -> str:
        if self.numeric and len(self.ticks) > 4:
            return f"{self.ticks[0]} ... {self.ticks[-1]} ({len(self.ticks)})"
        return ", ".join(self.ticks)


def axes_of(widget: type, axes: Mapping, labels: Mapping | None, start: Mapping | None) -> tuple[list[Axis], list[int]]:
    """The axes of a widget, and the place on each where it starts; each axis becomes an attribute of the widget."""
    check_names(axes, labels=labels, start=start)
    for name in axes:
        if hasattr(widget, name):
            raise ValueError(f"an axis cannot be called {name!r}: the widget has something of that name already")
    labels, start = labels or {}, start or {}
    grid = [Axis.of(name, values, labels.get(name)) for name, values in axes.items()]
    return grid, [axis.index(start[axis.name]) if axis.name in start else 0 for axis in grid]


def check_names(axes: Mapping, **given: Mapping | None) -> None:
    """Options that hold one value per axis, as in `start={"t": 500}`, name no axis that is not there."""
    for option, values in given.items():
        if values is not None and not isinstance(values, Mapping):
            raise ValueError(f"{option} = {values!r}; expected a value for each axis it names, {option}={{axis: ...}}")
        if unknown := set(values or ()) - set(axes):
            names = ", ".join(sorted(map(str, unknown)))
            raise ValueError(f"{option} names {names}; the axes are {', '.join(axes) or 'none'}")


def check_text(**given) -> None:
    """Each is a str."""
    for name, text in given.items():
        if not isinstance(text, str):
            raise ValueError(f"{name} = {text!r}; expected a str")


def format_value(value) -> str:
    """A value as text: 0.30000000000000004 is 0.3, True is yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
