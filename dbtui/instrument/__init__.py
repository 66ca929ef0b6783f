"""What runs inside an application: pooled engines configured by the environment, pools that tell of themselves,
statements that tell where they come from, and reads that go to replicas.

The standard library and SQLAlchemy only. The names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbtui.instrument.checking import assert_no_n_plus_one, warn_n_plus_one
    from dbtui.instrument.engines import create_async_engine, create_engine
    from dbtui.instrument.loaders import eager
    from dbtui.instrument.publishing import publish_pool
    from dbtui.instrument.recorder import record_statements
    from dbtui.instrument.routing import ReadWriteSession
    from dbtui.instrument.routing_async import AsyncReadWriteSession
    from dbtui.instrument.routing_replicas import ReplicaSet
    from dbtui.instrument.scopes import request_scope

__all__ = [
    "AsyncReadWriteSession",
    "ReadWriteSession",
    "ReplicaSet",
    "assert_no_n_plus_one",
    "create_async_engine",
    "create_engine",
    "eager",
    "publish_pool",
    "record_statements",
    "request_scope",
    "warn_n_plus_one",
]

_HOMES = {
    "AsyncReadWriteSession": "routing_async",
    "ReadWriteSession": "routing",
    "ReplicaSet": "routing_replicas",
    "assert_no_n_plus_one": "checking",
    "create_async_engine": "engines",
    "create_engine": "engines",
    "eager": "loaders",
    "publish_pool": "publishing",
    "record_statements": "recorder",
    "request_scope": "scopes",
    "warn_n_plus_one": "checking",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"dbtui.instrument.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
