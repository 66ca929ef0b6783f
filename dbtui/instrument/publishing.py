"""`publish_pool`: gives an engine a pool that keeps count if it has none, and lets this process tell of it."""

import atexit
import copy
import logging
import os
import threading
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import Pool, QueuePool

from dbtui.errors import DbtuiError, UsageError
from dbtui.instrument.metered_pool import MeteredQueuePool, metered_class
from dbtui.instrument.places import check_service, choose_directory, prepare_directory
from dbtui.instrument.publisher import Publisher
from dbtui.model.text import format_untrusted

_PUBLISHERS: dict[tuple[str, Path], Publisher] = {}
_LOCK = threading.Lock()
_LOG = logging.getLogger("dbtui.instrument")


def publish_pool(
    engine: Engine | AsyncEngine,
    service: str,
    *,
    directory: str | os.PathLike[str] | None = None,
    http_port: int | None = None,
) -> Publisher:
    """Let `dbtui pools` and other readers see the pool of `engine`; returns what publishes it.

    `service` names the application. Readers of this user and root find a socket `<service>.<pid>.sock` in `directory`
    ($XDG_RUNTIME_DIR/dbtui, else /tmp/dbtui-<uid>). With `http_port` (0: any), http://127.0.0.1:<port>/metrics tells
    the same as OpenMetrics text, to every user of this host; a forked child takes the next free port above. All pools
    of one service in one process share one socket. Under systemd's PrivateTmp, name a `directory` seen from outside.

    An engine of `dbtui.instrument.create_engine` keeps count already. The QueuePool of any other engine is replaced by
    one with the same settings, so call this before the first query: idle connections of the old pool are closed, those
    checked out stay usable, return to the old pool, and are neither counted nor limited by the new one.

    Raises UsageError for an engine without a QueuePool, StorageError and RefusedError when nothing can be bound there.
    Later problems go to the log `dbtui.instrument`, never into the application.
    """
    check_service(service)
    plain = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    pool = plain.pool
    if not isinstance(pool, QueuePool):
        wrong = f"the engine has a {type(pool).__name__}, which has no size and no queue to publish"
        raise UsageError(wrong, "use a QueuePool, as create_engine of dbtui.instrument does")
    if isinstance(engine, AsyncEngine):
        _check_untouched(pool)
    with _LOCK:
        publisher = _open_publisher(service, directory, http_port)
        if not isinstance(pool, MeteredQueuePool):
            pool = _replace_pool(plain, pool)
        publisher.add(pool.meter, _name_of(pool, plain.url), format_place(plain.url))
    return publisher


def format_place(url: URL) -> str:
    """Return where a URL leads, without login, password and options."""
    name = url.get_backend_name()
    if name == "sqlite":
        return f"sqlite:///{url.database or ''}"
    keys = [key for key in ("host", "port", "unix_socket") if key in url.query]
    socket = "&".join(f"{key}={value}" for key in keys for value in _listed(url.query[key]))
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = f":{url.port}" if url.port else ""
    return f"{name}://{host}{port}/{url.database or ''}{'?' if socket else ''}{socket}"


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _check_untouched(pool: QueuePool) -> None:
    if not isinstance(pool, MeteredQueuePool) and pool.checkedin() > 0:
        wrong = "the asyncio engine has open connections, which cannot be closed from here"
        cure = "call publish_pool before the first query, or use create_async_engine of dbtui.instrument"
        raise UsageError(wrong, cure)


def _open_publisher(service: str, directory: str | os.PathLike[str] | None, http_port: int | None) -> Publisher:
    chosen = choose_directory(os.environ) if directory is None else Path(directory).absolute()
    known = _PUBLISHERS.get((service, chosen))
    if known is not None and known.is_open:
        if http_port not in (None, known.http_port):
            raise UsageError(f"{service} is published already, without HTTP on port {http_port}",
                             "give http_port to the first publish_pool of a service")  # fmt: skip
        return known
    prepare_directory(chosen, is_ours=directory is None)
    made = _PUBLISHERS[service, chosen] = Publisher(service, chosen, http_port)
    return made


def _replace_pool(engine: Engine, pool: QueuePool) -> MeteredQueuePool:
    """Put a pool that keeps count in the place of one that does not, with all of its settings and events."""
    likeness = copy.copy(pool)
    likeness.__class__ = metered_class(type(pool))
    made = likeness.recreate()
    if not isinstance(made, MeteredQueuePool):
        wrong = f"the engine's {type(pool).__name__} makes another kind of pool of itself"
        raise UsageError(wrong, "use a QueuePool, as create_engine of dbtui.instrument does")
    engine.pool = made
    pool.dispose()
    return made


def _name_of(pool: Pool, url: URL) -> str:
    """Return the name that the application gave the pool, else the database's."""
    name = getattr(pool, "logging_name", None) or Path(url.database or "").stem or url.get_backend_name()
    return format_untrusted(str(name), 60)


def _restart_in_child() -> None:
    global _LOCK
    _LOCK = threading.Lock()
    for publisher in _PUBLISHERS.values():
        try:
            publisher.restart_in_child()
        except (OSError, DbtuiError) as error:
            _LOG.error("the pools of %s are not published in this process: %s", publisher.service, error)


def _close_all() -> None:
    for publisher in list(_PUBLISHERS.values()):
        publisher.close()


os.register_at_fork(after_in_child=_restart_in_child)
atexit.register(_close_all)
