"""Every kind of fault, in the order of the table."""

from tests.faults.matrix import clocks, damage, disks, kills, links, restores, rivals, whole
from tests.faults.matrix.trials import Kind

_MODULES = (kills, disks, links, damage, restores, rivals, clocks, whole)
KINDS: tuple[Kind, ...] = tuple(kind for module in _MODULES for kind in module.KINDS)
