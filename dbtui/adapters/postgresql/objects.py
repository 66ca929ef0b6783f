"""Which object a statement of a dump is about."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from dbtui.adapters.postgresql.sql_tokens import Token, after_words, parse_tokens, qualified_name

Name = tuple[bytes, bytes]  # schema, name


class DumpedObject(NamedTuple):
    """`kind` as in a dump's table of contents ("TABLE DATA", "FK CONSTRAINT"); `table` is what it belongs to, if any.

    `roles` are the roles it names; `partner` is the other object that it ties to its own: an attached partition, the
    table a foreign key refers to, the table whose column owns a sequence.
    """

    kind: str
    schema: bytes = b""
    name: bytes = b""
    table: Name | None = None
    roles: tuple[bytes, ...] = ()
    partner: Name | None = None

    @property
    def key(self) -> Name:
        """Its schema and name."""
        return (self.schema, self.name)


_SKIPPED = frozenset(
    b"create alter or replace unlogged unique trusted procedural recursive if not exists only concurrently".split()
)
_OF_TABLE = {"INDEX": b"on", "TRIGGER": b"on", "CONSTRAINT TRIGGER": b"on", "POLICY": b"on", "RULE": b"to"}
_COMMENT_OF_TABLE = frozenset({b"constraint", b"trigger", b"rule", b"policy"})


def parse_object(text: bytes, kind: str) -> DumpedObject:
    """Return what a statement is about; `kind` is its verdict's kind."""
    tokens = parse_tokens(text, 0 if len(text) < 1 << 20 else 4000)
    parse = _PARSERS.get(kind)
    if parse is not None:
        return parse(tokens)
    if tokens[0].body == b"alter" and kind == "TABLE":
        return _altered_table(tokens)
    if tokens[0].body == b"alter" and kind == "INDEX":
        return _altered_index(tokens)
    return _defined(tokens, kind)


def _defined(tokens: list[Token], kind: str) -> DumpedObject:
    at = _name_index(tokens, kind)
    if kind in ("OPERATOR", "CAST", "USER MAPPING", "LARGE OBJECT", "TRANSFORM"):
        return _nameless(tokens, at, kind)
    schema, name, end = qualified_name(tokens, at)
    table = None
    if (before := _OF_TABLE.get(kind)) is not None:
        table = _after(tokens, end, before)
        schema = table[0] if table else schema
    if kind in ("FUNCTION", "PROCEDURE", "AGGREGATE"):
        name += _arguments(tokens, end)
    partner = _after(tokens, end, b"by") if kind == "SEQUENCE" and after_words(tokens, end, b"owned") != end else None
    roles = _new_owner(tokens) or (_authorized(tokens) if kind == "SCHEMA" else _policy_roles(tokens, kind))
    return DumpedObject(kind, schema, name, table, roles, partner)


def _nameless(tokens: list[Token], at: int, kind: str) -> DumpedObject:
    """An object known by signs, types or another's name."""
    roles = _new_owner(tokens)
    if kind == "OPERATOR":
        end = next((index for index in range(at, len(tokens)) if tokens[index].text == b"("), len(tokens))
        return DumpedObject(kind, name=b"".join(token.text for token in tokens[at:end]), roles=roles)
    if kind == "USER MAPPING":
        login, server = (_after(tokens, 0, word) or (b"", b"") for word in (b"for", b"server"))
        roles = () if login[1] in (b"", b"public") else (login[1],)
        return DumpedObject(kind, name=login[1] + b" on " + server[1], roles=roles)
    name = _arguments(tokens, at) or (tokens[at].text if at < len(tokens) else b"")
    return DumpedObject(kind, name=name, roles=roles)


def _altered_table(tokens: list[Token]) -> DumpedObject:
    schema, name, at = qualified_name(tokens, _name_index(tokens, "TABLE"))
    table = (schema, name)
    if (end := after_words(tokens, at, b"add", b"constraint")) != at:
        is_foreign = any(token.kind == "word" and token.body == b"foreign" for token in tokens[end:])
        partner = _after(tokens, end, b"references") if is_foreign else None
        return DumpedObject(
            "FK CONSTRAINT" if is_foreign else "CONSTRAINT", schema, tokens[end].body, table, (), partner
        )
    if (end := after_words(tokens, at, b"attach", b"partition")) != at:
        child_schema, child, _end = qualified_name(tokens, end)
        return DumpedObject("TABLE ATTACH", schema, name, table, (), (child_schema, child))
    return DumpedObject("TABLE", schema, name, table, _new_owner(tokens))


def _altered_index(tokens: list[Token]) -> DumpedObject:
    schema, name, at = qualified_name(tokens, _name_index(tokens, "INDEX"))
    end = after_words(tokens, at, b"attach", b"partition")
    partner = qualified_name(tokens, end)[:2] if end != at else None
    return DumpedObject("INDEX ATTACH" if partner else "INDEX", schema, name, None, (), partner)


def _copied(tokens: list[Token]) -> DumpedObject:
    schema, name, _end = qualified_name(tokens, 2 if tokens[0].body == b"insert" else 1)
    return DumpedObject("TABLE DATA", schema, name, (schema, name))


def _refreshed(tokens: list[Token]) -> DumpedObject:
    schema, name, _end = qualified_name(tokens, 3)
    return DumpedObject("MATERIALIZED VIEW DATA", schema, name)


def _selected(tokens: list[Token]) -> DumpedObject:
    words = {token.body for token in tokens if token.kind == "word"}
    if b"setval" in words:
        text = next((token.body for token in tokens if token.kind == "string"), b"")
        schema, name, _end = qualified_name(parse_tokens(text), 0)
        return DumpedObject("SEQUENCE SET", schema, name)
    if words & {b"lo_create", b"lo_open", b"lowrite", b"lo_close", b"lo_unlink"}:
        return DumpedObject("BLOBS")
    return DumpedObject(
        "STATISTICS DATA" if words & {b"pg_restore_relation_stats", b"pg_restore_attribute_stats"} else "SETTING"
    )


def _commented(tokens: list[Token]) -> DumpedObject:
    """The name is what was commented on; for a constraint, trigger, rule or policy it is the table."""
    what = tokens[2].body if len(tokens) > 3 else b""
    if what in _COMMENT_OF_TABLE:
        table = _after(tokens, 3, b"on")
        return DumpedObject("COMMENT", *(table or (b"", b"")), table)
    at = 3
    while at < len(tokens) - 2 and tokens[at].kind == "word" and tokens[at + 1].kind in ("word", "name"):
        at += 1  # kinds of several words
    schema, name, end = qualified_name(tokens, at)
    if what == b"column":
        third = tokens[end + 1].body if end + 1 < len(tokens) and tokens[end].text == b"." else b""
        table = (schema, name) if third else (b"", schema)
        return DumpedObject("COMMENT", *table, table)
    if what in (b"function", b"procedure", b"aggregate"):
        name += _arguments(tokens, end)
    return DumpedObject(f"COMMENT ON {what.decode('ascii', 'replace').upper()}", schema, name)


def _granted(tokens: list[Token]) -> DumpedObject:
    on = next((index for index, token in enumerate(tokens) if token.kind == "word" and token.body == b"on"), 0)
    at = on + 1
    while at < len(tokens) - 1 and tokens[at].kind == "word" and tokens[at + 1].kind in ("word", "name"):
        at += 1
    schema, name, end = qualified_name(tokens, at)
    words = [token.body for token in tokens[on + 1 : at]]
    if words[:1] in ([b"function"], [b"procedure"]):
        name += _arguments(tokens, end)
    roles = [
        tokens[index + 1].body
        for index, token in enumerate(tokens[:-1])
        if index > on
        and token.kind == "word"
        and token.body in (b"to", b"from")
        and tokens[index + 1].body != b"public"
    ]
    table = (schema, name) if words in ([], [b"table"]) else None
    return DumpedObject("ACL", schema, name, table, tuple(roles))


def _default_rights(tokens: list[Token]) -> DumpedObject:
    return DumpedObject("DEFAULT ACL", roles=_roles_after(tokens, b"role", b"to", b"from"))


def _roles_after(tokens: list[Token], *words: bytes) -> tuple[bytes, ...]:
    return tuple(
        following.body
        for token, following in pairwise(tokens)
        if token.kind == "word" and token.body in words and following.body not in (b"public", b"group")
    )


def _setting(_tokens: list[Token]) -> DumpedObject:
    return DumpedObject("SETTING")


def _name_index(tokens: list[Token], kind: str) -> int:
    skipped = _SKIPPED | {word.lower().encode() for word in kind.split()}
    at = 0
    while at < len(tokens) - 1 and tokens[at].kind == "word" and tokens[at].body in skipped:
        at += 1
    return at


def _after(tokens: list[Token], at: int, word: bytes) -> Name | None:
    """Return the name after the first `word` outside parentheses, passing over ONLY."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += {b"(": 1, b")": -1}.get(tokens[index].text, 0)
        if depth == 0 and tokens[index].kind == "word" and tokens[index].body == word:
            schema, name, _end = qualified_name(tokens, after_words(tokens, index + 1, b"only"))
            return (schema, name)
    return None


def _new_owner(tokens: list[Token]) -> tuple[bytes, ...]:
    if tokens[0].body == b"alter" and [token.body for token in tokens[-3:-1]] == [b"owner", b"to"]:
        return (tokens[-1].body,)
    return ()


def _authorized(tokens: list[Token]) -> tuple[bytes, ...]:
    return (tokens[-1].body,) if len(tokens) > 3 and tokens[-2].body == b"authorization" else ()


def _policy_roles(tokens: list[Token], kind: str) -> tuple[bytes, ...]:
    if kind != "POLICY":
        return ()
    found = _after(tokens, 0, b"to")
    return (found[1],) if found and found[1] != b"public" else ()


def _arguments(tokens: list[Token], at: int) -> bytes:
    """Return the arguments in parentheses at `tokens[at]`, written evenly."""
    depth = 0
    for end in range(at, len(tokens)):
        depth += {b"(": 1, b")": -1}.get(tokens[end].text, 0)
        if depth == 0:
            return _written(tokens[at : end + 1])
    return b""


def _written(tokens: list[Token]) -> bytes:
    text = b""
    for token in tokens:
        glued = not text or text.endswith((b"(", b".", b"[")) or token.text in (b"(", b")", b",", b".", b"[", b"]")
        text += token.text if glued else b" " + token.text
    return text


_PARSERS: dict[str, Callable[[list[Token]], DumpedObject]] = {
    "COPY": _copied,
    "INSERT": _copied,
    "REFRESH": _refreshed,
    "SELECT": _selected,
    "COMMENT": _commented,
    "GRANT": _granted,
    "REVOKE": _granted,
    "DEFAULT PRIVILEGES": _default_rights,
    "SET": _setting,
    "SET SESSION AUTHORIZATION": _setting,
}
