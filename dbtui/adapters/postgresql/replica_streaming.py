"""Waiting until a new replica streams: seen by its source, under its slot and name, and by itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote, urlencode

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_place import EVERYWHERE
from dbtui.adapters.postgresql.replica_server import ReplicaServer
from dbtui.errors import ConnectError, ServerError
from dbtui.model.events import Progressed, Routine, Warned
from dbtui.model.replicas import ReplicaWish
from dbtui.model.text import format_duration

_LOOK_SECONDS = 0.2
#: How long its source may see nobody, before something is wrong with it.
_UNSEEN_SECONDS = 120.0
_HOSTLESS = ("host", "hostaddr", "port", "user", "dbname", "password", "passfile", "application_name", "service",
             "client_encoding", "options", "target_session_attrs", "load_balance_hosts")  # fmt: skip


def watch_stream(target: PostgresqlTarget, wish: ReplicaWish, server: ReplicaServer) -> Routine[int | None]:
    """Wait until it streams; return how many bytes it is behind then. Raises ServerError, Cancelled."""
    seen = time.monotonic()
    while True:
        found = next(iter(target.collect("look_at_stream", slot=wish.slot)), None)
        if found is not None:
            seen = time.monotonic()
            if found.state == "" or (found.state == "streaming" and found.behind_bytes is not None):
                break
            yield Progressed(0, None, "seconds", f"{found.state}: it receives what was written meanwhile")
        elif time.monotonic() - seen > _UNSEEN_SECONDS:
            waited = format_duration(_UNSEEN_SECONDS)
            said = f"{target.where} has seen no replica at slot {wish.slot} for {waited}: {server.last_words(3)}"
            raise ServerError(said, "see the replica's log")
        if server.process() is None:
            raise ServerError(f"the new replica has ended: {server.last_words(4)}", "see that its settings fit here")
        target.cancellation.wait(_LOOK_SECONDS)
        target.cancellation.check()
    yield from _ask_itself(target, wish)
    return None if found.behind_bytes is None else max(0, int(found.behind_bytes))


def _ask_itself(target: PostgresqlTarget, wish: ReplicaWish) -> Routine[None]:
    """See that the replica says of itself that it is one. A login that it does not let in is told, and no failure."""
    try:
        with open_replica(target, wish) as replica:
            row = replica.collect_one("collect_replication")
            source = target.collect_one("collect_replication")
    except ConnectError as error:
        yield Warned(f"the replica streams, and could not be asked itself: {error}")
        return
    if not row.is_replica or row.system != source.system:
        raise ServerError(
            f"what answers at port {wish.port} is no replica of {target.where}", "see who else listens there"
        )


@contextmanager
def open_replica(target: PostgresqlTarget, wish: ReplicaWish) -> Iterator[PostgresqlTarget]:
    """Log in to the new replica as the target does to its source. Raises ConnectError, AuthenticationError."""
    words, password = target.login_parameters()
    host = "127.0.0.1" if wish.host in EVERYWHERE else wish.host.split(",")[0]
    kept = {keyword: value for keyword, value in words.items() if keyword not in _HOSTLESS}
    login = quote(words.get("user", ""), safe="")
    query = urlencode({**kept, "host": host, "port": str(wish.port)})
    url = f"postgresql://{login}@/{quote(words.get('dbname', 'postgres'), safe='')}?{query}"
    profile = replace(target.profile, name=wish.name, url=url, password=None, read_only=True)
    opened = PostgresqlTarget(profile, password, target.cancellation, target.environ)
    try:
        yield opened
    finally:
        opened.close()
