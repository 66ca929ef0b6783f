"""What a trial is, and how it ends."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.matrix.scenes import Scene
    from tests.faults.matrix.worlds import World


@dataclass(frozen=True)
class Trial:
    """One try: enough to do it again."""

    kind: str
    engine: str
    number: int
    seed: int

    def chance(self) -> random.Random:
        """The random choices of this trial: the same each time."""
        return random.Random(f"{self.seed} {self.kind} {self.engine} {self.number}")

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"script/faults --kind {self.kind} --engine {self.engine} --seed {self.seed} --only {self.number}"


@dataclass
class Report:
    """How a trial went. `fault` says what was done to the run; `losses` what that broke, which must be nothing.

    `tried` counts what was tried: a trial of damage tries many files. `sums` are the restored
    ledgers that were compared.
    """

    fault: str = ""
    losses: list[str] = field(default_factory=list)
    tried: int = 1
    lost: int = 0
    sums: int = 0
    remarks: list[str] = field(default_factory=list)

    def lose(self, reason: str, count: int = 1) -> None:
        """Write down a loss."""
        self.losses.append(reason)
        self.lost = min(self.tried, self.lost + count)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: on which engines it can happen, and what does a trial of it."""

    name: str
    title: str
    engines: tuple[str, ...]
    run: "Callable[[World, Trial, Report], None]"
    full: int = 20  # trials for each engine in the full form
    short: tuple[str, ...] = ()  # engines that have one trial in the short form


class Lost(Exception):
    """The trial cannot go on: what it needed is broken."""


__all__ = ["Kind", "Lost", "Report", "Scene", "Trial"]
