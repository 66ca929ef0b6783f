"""What runs inside an application: pooled engines configured by the environment, and pools that tell of themselves.

The standard library and SQLAlchemy only. The names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbtui.instrument.engines import create_async_engine, create_engine
    from dbtui.instrument.publishing import publish_pool

__all__ = ["create_async_engine", "create_engine", "publish_pool"]

_HOMES = {"create_async_engine": "engines", "create_engine": "engines", "publish_pool": "publishing"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"dbtui.instrument.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
