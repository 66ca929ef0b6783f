"""Which adapter serves which engine. Adapters are imported when first asked for: drivers are slow to load."""

from importlib import import_module
from typing import TYPE_CHECKING, cast

from dbtui.adapters.adapter import Adapter
from dbtui.model.connections import EngineName

if TYPE_CHECKING:  # who looks at a server needs to know nothing of proofs
    from dbtui.adapters.throwaway.adapter import ProofAdapter


def adapter_for(engine: EngineName) -> Adapter:
    """Return the adapter of an engine."""
    module = import_module(f"dbtui.adapters.{engine.value}.adapter")
    return cast(Adapter, module.ADAPTER)


def proofs_for(engine: EngineName) -> "ProofAdapter":
    """Return what proves backups of an engine."""
    module = import_module(f"dbtui.adapters.{engine.value}.proofs")
    return cast("ProofAdapter", module.PROOFS)
