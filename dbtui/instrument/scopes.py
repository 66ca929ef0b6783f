"""`request_scope`: what the statements of one request, job or message have in common."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dbtui.instrument.process_names import PROCESS
from dbtui.model.text import format_untrusted

#: The scope of whatever runs here; a thread and an asyncio task have their own.
SCOPE: ContextVar[str] = ContextVar("dbtui.scope", default="")

_NUMBERS = itertools.count(1)
_LONGEST_NAME = 200


@contextmanager
def request_scope(name: str, request_id: str = "") -> Iterator[str]:
    """Give the statements that run inside a scope of their own, `<name>#<request_id>`; yields it. Also a decorator.

    `name` tells what is served, such as "GET /orders": the route, not the address. `request_id` tells one request from
    the next, such as a trace id; without it there is a number. The scope follows into the asyncio tasks that are
    started inside, not into other threads. Inside another scope the inner one holds.
    """
    unique = request_id or f"{PROCESS.text}.{next(_NUMBERS)}"
    scope = f"{format_untrusted(name, _LONGEST_NAME)}#{format_untrusted(unique, _LONGEST_NAME)}"
    token = SCOPE.set(scope)
    try:
        yield scope
    finally:
        SCOPE.reset(token)
