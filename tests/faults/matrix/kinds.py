"""Every kind of fault, in the order of the table."""

from tests.faults.matrix import kills
from tests.faults.matrix.trials import Kind

KINDS: tuple[Kind, ...] = (*kills.KINDS,)
BY_NAME = {kind.name: kind for kind in KINDS}
