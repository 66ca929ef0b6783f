"""Named SQL: `queries.sql` beside each adapter, read once.

A section begins with `-- name: x`; an optional `-- since: 14` (major server version, MariaDB: `10.6`) makes it one of
several variants of the same name. The comment lines that follow say why. Binds are named (`:name`).
"""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$")
_SINCE = re.compile(r"^-- since: ([\d.]+)\s*$")


def parse_queries(text: str) -> dict[str, list[tuple[tuple[int, ...], str]]]:
    """Return each name's variants as (since version, SQL), newest first."""
    queries: dict[str, list[tuple[tuple[int, ...], str]]] = {}
    for block in re.split(r"(?m)^(?=-- name: )", text):
        lines = block.splitlines()
        head = _NAME.match(lines[0]) if lines else None
        if head is None:
            continue
        since: tuple[int, ...] = ()
        body = []
        for line in lines[1:]:
            if found := _SINCE.match(line):
                since = tuple(int(part) for part in found[1].split("."))
            elif not line.startswith("--"):
                body.append(line)
        queries.setdefault(head[1], []).append((since, "\n".join(body).strip().rstrip(";")))
    for variants in queries.values():
        variants.sort(reverse=True)
    return queries


@cache
def _queries_of(package: str) -> dict[str, list[tuple[tuple[int, ...], str]]]:
    return parse_queries(files(package).joinpath("queries.sql").read_text(encoding="utf-8"))


def query(package: str, name: str, version: tuple[int, ...] = (9999,)) -> str:
    """Return the SQL called `name` in `package`'s queries.sql for a server of `version`.

    Raises KeyError when there is no such name, or none for that version.
    """
    for since, sql in _queries_of(package)[name]:
        if since <= version:
            return sql
    raise KeyError(f"{name}: no variant for version {version}")
