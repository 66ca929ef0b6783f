"""Every kind of fault, in the order of the table."""

from tests.faults.matrix import damage, disks, kills, links, restores
from tests.faults.matrix.trials import Kind

KINDS: tuple[Kind, ...] = (*kills.KINDS, *disks.KINDS, *links.KINDS, *damage.KINDS, *restores.KINDS)
BY_NAME = {kind.name: kind for kind in KINDS}
