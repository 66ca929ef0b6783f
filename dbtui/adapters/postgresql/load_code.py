"""What a dump's own functions could do while the dump is restored by a login that may run programs on the server.

Checks, generated columns, index expressions, domains, rules, triggers and materialized views call functions that came
with the dump, with the rights of whoever restores. For an ordinary login the server itself stops them at programs
and files. A superuser it does not stop, and no session setting does either: code in the dump can undo SET ROLE and
SET SESSION AUTHORIZATION. So for such logins the code is judged before it can run:

* Every function is *opaque* when its body could do more than its text shows (dynamic EXECUTE, COPY, DDL, DO, calls that
  run a text, read or write the server's files, languages other than SQL and PL/pgSQL), or calls one that is.
* A function that is only created, for a trigger that is created after the data, say, is not run and does not matter.
* A statement that would run an opaque function while restoring is refused, and so is data that would meet a trigger or
  rule of that kind. Refreshing a materialized view and creating an event trigger are left out instead, with a warning.

The judgement goes by every name that a statement mentions, so it errs on the side of refusing. The way round a refusal
is a login that is not a superuser: then nothing here applies.
"""

from dataclasses import dataclass, field

from dbtui.adapters.postgresql.sql_tokens import Token, after_words, parse_tokens, qualified_name
from dbtui.adapters.postgresql.statements import routine_language
from dbtui.model.text import format_untrusted

#: Built-in functions and those of well-known extensions that reach files or programs or run a text as SQL.
_REACHING = frozenset(
    word + b"("
    for word in b"""
    lo_export lo_import be_lo_export be_lo_import pg_read_file pg_read_binary_file pg_ls_dir pg_stat_file
    pg_file_write pg_file_read pg_file_rename pg_file_unlink pg_file_sync pg_logdir_ls pg_execute_server_program
    query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite
    dblink dblink_exec dblink_connect dblink_connect_u dblink_open dblink_send_query
    crosstab crosstab2 crosstab3 crosstab4 crosstabn connectby xpath_table
    cron.schedule cron.schedule_in_database pg_background_launch plpgsql_call_handler plpgsql_inline_handler
    set_config pg_reload_conf pg_rotate_logfile pg_create_logical_replication_slot pg_logical_slot_get_changes
    pg_logical_slot_peek_changes pg_logical_slot_get_binary_changes binary_upgrade_create_empty_extension
    """.split()
)
_OPAQUE_WORDS = frozenset(b"execute copy create alter load prepare call import".split())
_READABLE_LANGUAGES = frozenset({b"sql", b"plpgsql"})
_HARMLESS_AFTER_DO = frozenset({b"nothing", b"update", b"instead", b"also"})
_AFTER_DEFAULT = frozenset(b"not null check constraint generated unique primary references collate".split())
_CREATE_WORDS = frozenset(
    b"create alter or replace function procedure table unlogged foreign view materialized recursive only".split()
)
#: Kinds whose statements run nothing.
_INERT = frozenset({"POLICY", "COMMENT", "GRANT", "REVOKE", "SECURITY LABEL", "SET", "SELECT", "DEFAULT PRIVILEGES"})
#: Kinds that name functions without parentheses.
_NAMING_KINDS = (
    "OPERATOR", "AGGREGATE", "CONVERSION", "LANGUAGE", "ACCESS METHOD", "FOREIGN DATA WRAPPER", "TEXT SEARCH",
    "TRANSFORM",
)  # fmt: skip


@dataclass(slots=True)
class _Definition:
    words: set[bytes] = field(default_factory=set)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Risk:
    """A statement that would run opaque code. `skippable`: leaving it out harms no data."""

    reason: str
    skippable: bool = False


class LoadCode:
    """Shown every statement in the order of the dump, says which of them would run opaque code.

    Functions are known as `name(`, relations as `name`. What a function calls may be defined after a check or a domain
    that calls it: so what stands is looked at again when a statement runs it after new functions were defined.
    """

    def __init__(self) -> None:
        self._definitions: dict[bytes, _Definition] = {}
        self._defaults: dict[bytes, dict[bytes, set[bytes]]] = {}  # table -> column -> what its default mentions
        self._triggers: set[bytes] = set()  # what triggers and rules mention, of whatever table
        self._standing: set[bytes] = set()  # what checks, domains, indexes, operators and the like call
        self._has_changed = False  # functions were defined since the standing was looked at
        self._data_are_safe: bool | None = None  # None: to be found out again

    def examine(self, text: bytes, kind: str) -> Risk | None:
        """Take note of what a statement defines; return the risk in running it. `kind` is its verdict's kind."""
        if kind in _INERT:
            return None
        if kind in ("COPY", "INSERT"):
            return self.finish() or self._risk(self._met_by_data(text, kind))
        self._data_are_safe = None
        tokens = parse_tokens(text)
        verb = tokens[0].body if tokens else b""
        if verb == b"drop" or _changes_owner(tokens):
            return None
        if kind in ("FUNCTION", "PROCEDURE"):
            self._define_routine(tokens)
            return None
        if verb == b"create" and kind in ("TRIGGER", "RULE", "CONSTRAINT TRIGGER"):
            self._triggers |= _mentions(tokens)
            return None
        return self.finish() or self._examine_running(tokens, verb, kind)

    def _examine_running(self, tokens: list[Token], verb: bytes, kind: str) -> Risk | None:
        if verb == b"create" and kind in ("VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"):
            return self._risk(self._define_relation(tokens, kind))
        if kind in ("REFRESH", "EVENT TRIGGER"):
            return self._risk(_mentions(tokens), skippable=True)
        if kind == "TABLE":
            words = self._met_by_table(tokens, verb)
        else:
            words = _mentions(tokens, bare=kind.startswith(_NAMING_KINDS) or _is_base_type(tokens, kind))
            if kind in ("INDEX", "DOMAIN"):
                words = _calls(words)  # their expressions name no relations
        self._standing |= words
        return self._risk(words)

    def finish(self) -> Risk | None:
        """Return the risk in running what stands, now that more functions may be defined; also when a dump ends."""
        if not self._has_changed:
            return None
        self._has_changed = False
        risk = self._risk(self._standing)
        if risk is not None:
            self._standing = set()  # told once
        return risk

    def _define_routine(self, tokens: list[Token]) -> None:
        _schema, name, at = qualified_name(tokens, _after_create(tokens))
        self._has_changed = True
        definition = self._definitions.setdefault(name.lower() + b"(", _Definition())
        language, sources = routine_language(tokens)
        body = parse_tokens(b" ".join(source.body for source in sources)) if sources else tokens[1:]
        definition.words |= _mentions(tokens[at:]) | _mentions(body)
        reason = _opacity(body, language, sources)
        if reason and not definition.reason:
            definition.reason = f"function {_show(name)} {reason}"

    def _define_relation(self, tokens: list[Token], kind: str) -> set[bytes]:
        _schema, name, at = qualified_name(tokens, _after_create(tokens))
        words = _mentions(tokens[at:])
        definition = self._definitions.setdefault(name.lower(), _Definition())
        definition.words |= words
        if kind == "FOREIGN TABLE":
            if b"program" in words:
                definition.reason = f"foreign table {_show(name)} runs a program"
            return words - {b"program"}
        is_empty = [token.body for token in tokens[-3:]] == [b"with", b"no", b"data"]
        return words if kind == "MATERIALIZED VIEW" and not is_empty else set()

    def _met_by_table(self, tokens: list[Token], verb: bytes) -> set[bytes]:
        """A default runs only for a column that the data leave out; everything else runs for every row."""
        _schema, name, at = qualified_name(tokens, _after_create(tokens))
        defaults, rest = _split_defaults(tokens, at) if verb == b"create" else _altered_default(tokens, at)
        known = self._defaults.setdefault(name.lower(), {})
        for column, words in defaults.items():
            known.setdefault(column, set()).update(words)
        return _calls(_mentions(rest))

    def _met_by_data(self, text: bytes, kind: str) -> set[bytes]:
        if self._data_are_safe is None:
            defaults = [words for columns in self._defaults.values() for words in columns.values()]
            self._data_are_safe = self._risk(self._triggers.union(*defaults)) is None
        if self._data_are_safe:
            return set()
        tokens = parse_tokens(text)
        _schema, name, at = qualified_name(tokens, 1 if kind == "COPY" else 2)
        given = _columns(tokens, at)
        asks_for_defaults = kind == "INSERT" and (not given or any(token.body == b"default" for token in tokens))
        words = set(self._triggers)
        for column, mentioned in self._defaults.get(name.lower(), {}).items():
            if asks_for_defaults or (given and column not in given):
                words |= mentioned
        return words

    def reaching(self) -> tuple[str, ...]:
        """What the dump brings along that reaches files or programs of the server when somebody calls it later."""
        found = []
        for name, definition in sorted(self._definitions.items()):
            words = sorted(definition.words & _REACHING)
            if words:
                found.append(f"{_show(name.rstrip(b'('))} calls {_show(words[0][:-1])}")
            elif b"copy" in definition.words and b"program" in definition.words:
                found.append(f"{_show(name.rstrip(b'('))} holds COPY … PROGRAM")
            elif definition.reason.endswith(("judged here", "runs a program")):
                found.append(definition.reason)
        return tuple(found)

    def _risk(self, words: set[bytes], *, skippable: bool = False) -> Risk | None:
        """Follow what these words name and what that calls in turn; the first opaque thing is the reason."""
        seen: set[bytes] = set()
        waiting = set(words)
        while waiting:
            word = waiting.pop()
            seen.add(word)
            if word in _REACHING:
                what = f"{_show(word[:-1])} reaches files or programs of the server, or runs a text as SQL"
                return Risk(what, skippable)
            definition = self._definitions.get(word)
            if definition is not None:
                if definition.reason:
                    return Risk(definition.reason, skippable)
                waiting |= definition.words - seen
        return None


def _opacity(body: list[Token], language: bytes, sources: list[Token]) -> str:
    if language not in _READABLE_LANGUAGES:
        return f"is written in {_show(language)}, which cannot be judged here"
    if any(not source.is_plain for source in sources):
        return "hides its text behind escapes"
    for token, after in zip(body, [*body[1:], Token("sign", b"", b"")], strict=True):
        if token.kind != "word":
            continue
        is_do = token.body == b"do" and after.body not in _HARMLESS_AFTER_DO
        if token.body in _OPAQUE_WORDS or is_do:
            return f"holds {token.body.decode().upper()}, so it may run anything"
    return ""


def _mentions(tokens: list[Token], *, bare: bool = False) -> set[bytes]:
    """What the names in a statement may stand for: `name` for a relation and, where it may be a call, also `name(`.

    A call has parentheses or follows a dot (`row.function` is one too); with `bare` every name may be one.
    """
    words: set[bytes] = set()
    skip_to = 0
    for index, token in enumerate(tokens):
        if token.kind == "word" and token.body == b"references":
            skip_to = qualified_name(tokens, index + 1)[2]
        if token.kind not in ("word", "name"):
            continue
        name = token.body.lower()
        words.add(name)
        after = tokens[index + 1].text if index + 1 < len(tokens) else b""
        before = tokens[index - 1].text if index else b""
        if index >= skip_to and (bare or after == b"(" or before == b"."):
            words.add(name + b"(")
            if before == b".":
                words.add(tokens[index - 2].body.lower() + b"." + name + b"(")
        if name == b"u" and after == b"&":
            words.add(b"lo_export(")  # names behind escapes are taken for the worst
    return words


def _calls(words: set[bytes]) -> set[bytes]:
    return {word for word in words if word.endswith(b"(")}


def _changes_owner(tokens: list[Token]) -> bool:
    return (
        tokens[0].body == b"alter" and [token.body for token in tokens[-3:-1]] == [b"owner", b"to"] if tokens else False
    )


def _is_base_type(tokens: list[Token], kind: str) -> bool:
    words = [token.body for token in tokens if token.kind == "word"]
    return kind == "TYPE" and not {b"enum"} & set(words[:5]) and not (b"as" in words and b"range" not in words)


def _after_create(tokens: list[Token]) -> int:
    """Return the index of the name in CREATE or ALTER of a function, table, view or foreign table."""
    at = 0
    while at < len(tokens) and tokens[at].kind == "word" and tokens[at].body in _CREATE_WORDS:
        at += 1
    return after_words(tokens, after_words(tokens, at, b"if", b"not", b"exists"), b"if", b"exists")


def _columns(tokens: list[Token], at: int) -> set[bytes]:
    if at >= len(tokens) or tokens[at].text != b"(":
        return set()
    end = next((index for index in range(at, len(tokens)) if tokens[index].text == b")"), at)
    return {token.body for token in tokens[at + 1 : end] if token.kind in ("word", "name")}


def _split_defaults(tokens: list[Token], at: int) -> tuple[dict[bytes, set[bytes]], list[Token]]:
    """Take the DEFAULT clauses out of a CREATE TABLE: ({column: what its default mentions}, all other tokens)."""
    defaults: dict[bytes, list[Token]] = {}
    rest: list[Token] = []
    depth, column, in_default = 0, b"", False
    for index in range(at, len(tokens)):
        token, before = tokens[index], tokens[index - 1]
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        begins = depth == 1 and token.kind == "word" and token.body == b"default" and before.text not in (b"(", b",")
        ends = depth == 0 or (depth == 1 and (token.text == b"," or token.body in _AFTER_DEFAULT))
        if depth == 1 and token.text in (b"(", b",") and index + 1 < len(tokens):
            column = tokens[index + 1].body
        if begins:
            in_default = True
            defaults.setdefault(column, [])
        elif in_default and ends and token.kind != "string":
            in_default = False
        (defaults[column] if in_default else rest).append(token)
    return {column: _mentions(clause) for column, clause in defaults.items()}, rest


def _altered_default(tokens: list[Token], at: int) -> tuple[dict[bytes, set[bytes]], list[Token]]:
    """The same for `ALTER TABLE x ALTER COLUMN c SET DEFAULT expression`."""
    name = after_words(tokens, at, b"alter", b"column")
    start = after_words(tokens, name + 1, b"set", b"default")
    if name == at or start == name + 1 or _has_comma_outside(tokens[start:]):
        return {}, tokens[at:]
    return {tokens[name].body: _mentions(tokens[start:])}, []


def _has_comma_outside(tokens: list[Token]) -> bool:
    depth = 0
    for token in tokens:
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        if depth == 0 and token.text == b",":
            return True
    return False


def _show(name: bytes) -> str:
    return format_untrusted(name.decode("utf-8", "replace"), 80)
