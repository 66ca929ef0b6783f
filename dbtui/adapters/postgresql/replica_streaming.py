"""Waiting until a new replica streams: seen by its source, under its slot, and by itself."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_place import EVERYWHERE
from dbtui.adapters.postgresql.replica_server import ReplicaServer
from dbtui.errors import ConnectError, ServerError
from dbtui.model.events import Progressed, Routine, Warned
from dbtui.model.replicas import ReplicaWish
from dbtui.model.text import format_bytes, format_duration

_LOOK_SECONDS, _UNSEEN_LOOK_SECONDS = 0.2, 0.5
#: How long its source may see nobody, and it apply nothing, before something is wrong with it.
UNSEEN_SECONDS = 120.0
#: What says where a connection goes and as whom, or only concerns dbtui's own.
_OWN_WORDS = (
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "password",
    "application_name",
    "client_encoding",
    "options",
)


def watch_stream(target: PostgresqlTarget, wish: ReplicaWish, server: ReplicaServer) -> Routine[int | None]:
    """Wait until it streams; return how many bytes it is behind then. Raises ServerError, Cancelled.

    It asks for the log when it has applied what came with the copy: as long as it does that it is waited for.
    """
    replayed, moved = 0, time.monotonic()
    while (found := _find_stream(target, wish)) is None or not _is_there(found):
        if server.process() is None:
            raise ServerError(f"the new replica has ended: {server.last_words(4)}", "see that its settings fit here")
        now_replayed = 0 if found is not None else _ask_replayed(target, wish)
        if found is not None or now_replayed > replayed:
            replayed, moved = now_replayed, time.monotonic()
        elif time.monotonic() - moved > UNSEEN_SECONDS:
            waited = format_duration(UNSEEN_SECONDS)
            said = f"{target.where} has seen no replica at slot {wish.slot} for {waited}: {server.last_words(3)}"
            raise ServerError(said, "see that the replica reaches it and is let in")
        yield Progressed(0, None, "seconds", _describe(found, server))
        target.cancellation.wait(_LOOK_SECONDS if found is not None else _UNSEEN_LOOK_SECONDS)
        target.cancellation.check()
    yield from _check_itself(target, wish)
    return None if found.behind_bytes is None else max(0, int(found.behind_bytes))


def _find_stream(target: PostgresqlTarget, wish: ReplicaWish) -> Any | None:
    return next(iter(target.collect("look_at_stream", slot=wish.slot)), None)


def _is_there(found: Any) -> bool:
    """Whether it streams. A login may not see the state of another's replica: then it is enough that somebody reads."""
    return found.state == "" or (found.state == "streaming" and found.behind_bytes is not None)


def _describe(found: Any | None, server: ReplicaServer) -> str:
    if found is None:
        return f"not seen yet: {server.last_words(1)}"
    behind = f", {format_bytes(found.behind_bytes)} behind" if found.behind_bytes else ""
    return f"{found.state}{behind}: it receives what was written meanwhile"


def _ask_replayed(target: PostgresqlTarget, wish: ReplicaWish) -> int:
    """Ask the replica how far it has applied the log; 0 when it cannot be asked."""
    try:
        with _open_replica(target, wish) as replica:
            return int(replica.collect_one("collect_applier").replayed or 0)
    except (ConnectError, ServerError):
        return 0


def _check_itself(target: PostgresqlTarget, wish: ReplicaWish) -> Routine[None]:
    """See that the replica says of itself that it is one. A login that it does not let in is told, and no failure."""
    try:
        with _open_replica(target, wish) as replica:
            row = replica.collect_one("collect_replication")
    except ConnectError as error:
        yield Warned(f"the replica streams, and could not be asked itself: {error}")
        return
    if not row.is_replica or row.system != target.collect_one("collect_replication").system:
        said = f"what answers at port {wish.port} is no replica of {target.where}"
        raise ServerError(said, "see who else listens there")


def _open_replica(target: PostgresqlTarget, wish: ReplicaWish) -> AbstractContextManager[PostgresqlTarget]:
    host = "127.0.0.1" if wish.host in EVERYWHERE else wish.host
    return open_beside(target, target.cancellation, host=host, port=str(wish.port), hostaddr="")


@contextmanager
def open_beside(target: PostgresqlTarget, cancellation: Cancellation, **changes: str) -> Iterator[PostgresqlTarget]:
    """Log in as the target does, to the very same server unless `changes` say where else.

    Raises ConnectError, AuthenticationError.
    """
    words, password = target.login_parameters()
    words.update(changes)
    place = {keyword: words[keyword] for keyword in ("host", "hostaddr", "port") if words.get(keyword)}
    kept = {keyword: value for keyword, value in words.items() if keyword not in _OWN_WORDS}
    login, database = quote(words.get("user", ""), safe=""), quote(words.get("dbname", "postgres"), safe="")
    url = f"postgresql://{login}@/{database}?{urlencode(kept | place, quote_via=quote)}"
    profile = replace(target.profile, url=url, password=None)
    opened = PostgresqlTarget(profile, password, cancellation, target.environ)
    try:
        yield opened
    finally:
        opened.close()
