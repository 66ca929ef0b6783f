"""Every kind of fault, in the order of the table."""

from tests.faults.matrix import clocks, damage, disks, kills, links, restores, rivals
from tests.faults.matrix.trials import Kind

KINDS: tuple[Kind, ...] = (
    *kills.KINDS,
    *disks.KINDS,
    *links.KINDS,
    *damage.KINDS,
    *restores.KINDS,
    *rivals.KINDS,
    *clocks.KINDS,
)
BY_NAME = {kind.name: kind for kind in KINDS}
