"""How often is asked: faster and slower go through a row of seconds."""

from collections.abc import Sequence

#: For what a server is asked in a moment.
PACES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def step_pace(seconds: float, step: int, paces: Sequence[float] = PACES) -> float:
    """Return the pace that is `step` places after the nearest one to `seconds`; the first and the last are the ends."""
    near = min(range(len(paces)), key=lambda place: abs(paces[place] - seconds))
    return paces[max(0, min(near + step, len(paces) - 1))]
