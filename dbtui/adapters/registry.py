"""Which adapter serves which engine. Adapters are imported when first asked for: drivers are slow to load."""

from importlib import import_module
from typing import cast

from dbtui.adapters.adapter import Adapter
from dbtui.model.connections import EngineName


def adapter_for(engine: EngineName) -> Adapter:
    """Return the adapter of an engine."""
    module = import_module(f"dbtui.adapters.{engine.value}.adapter")
    return cast(Adapter, module.ADAPTER)
