"""Waiting until a new replica streams: seen by its source, under its slot, and by itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote, urlencode

from dbtui.adapters.cancellation import Cancellation
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
    host = "127.0.0.1" if wish.host in EVERYWHERE else wish.host.split(",")[0].strip()
    try:
        with open_beside(target, target.cancellation, host=host, port=str(wish.port), hostaddr="") as replica:
            row = replica.collect_one("collect_replication")
    except ConnectError as error:
        yield Warned(f"the replica streams, and could not be asked itself: {error}")
        return
    if not row.is_replica or row.system != target.collect_one("collect_replication").system:
        said = f"what answers at port {wish.port} is no replica of {target.where}"
        raise ServerError(said, "see who else listens there")


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
