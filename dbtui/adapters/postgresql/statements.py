"""What pg_dump writes, and nothing else: every statement of a dump is judged by an allow-list before it may run.

A dump is text from elsewhere. What is not on the list is refused, in a sentence, whoever restores: programs and files
of the server, code blocks, roles, other databases, psql commands. Statements that pg_dump writes but that have no place
in a restore into one fresh database are left out. What a dump's own functions may do while they are restored is
judged by `load_code`.
"""

import re
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from dbtui.adapters.postgresql.sql_lexer import COPY_FROM_STDIN, Statement
from dbtui.adapters.postgresql.sql_tokens import Token, head_words, parse_tokens
from dbtui.model.text import format_untrusted


class Action(Enum):
    """What to do with a statement. TRY: run it, and go on when what it removes is not there."""

    RUN = "run"
    TRY = "try"
    LEAVE_OUT = "leave out"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is the object's kind in capitals ("TABLE", "EVENT TRIGGER") or the verb; `reason` why it is not run."""

    action: Action
    kind: str
    reason: str = ""


_KINDS = (
    "ACCESS METHOD, AGGREGATE, CAST, COLLATION, CONSTRAINT TRIGGER, CONVERSION, DOMAIN, EVENT TRIGGER, EXTENSION, "
    "FOREIGN DATA WRAPPER, FOREIGN TABLE, FUNCTION, INDEX, LANGUAGE, LARGE OBJECT, MATERIALIZED VIEW, OPERATOR CLASS, "
    "OPERATOR FAMILY, OPERATOR, POLICY, PROCEDURE, PUBLICATION, RULE, SCHEMA, SEQUENCE, SERVER, STATISTICS, TABLE, "
    "TEXT SEARCH CONFIGURATION, TEXT SEARCH DICTIONARY, TEXT SEARCH PARSER, TEXT SEARCH TEMPLATE, TRANSFORM, TRIGGER, "
    "TYPE, USER MAPPING, VIEW"
)
_OBJECT_KINDS = tuple(tuple(kind.split()) for kind in _KINDS.split(", "))
#: Words between the verb and the kind that change nothing here.
_FILLERS = frozenset({"OR", "REPLACE", "UNLOGGED", "UNIQUE", "TRUSTED", "PROCEDURAL", "RECURSIVE"})
LEFT_OUT = {
    "DATABASE": "the database exists already",
    "SUBSCRIPTION": "a restored copy must not take over a subscription",
}
_FORBIDDEN = {
    "ROLE": "belongs to the whole server",
    "USER": "belongs to the whole server",
    "GROUP": "belongs to the whole server",
    "TABLESPACE": "belongs to the whole server",
    "SYSTEM": "changes the server's configuration",
}
_SETTINGS = frozenset(
    b"statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout "
    b"client_encoding standard_conforming_strings check_function_bodies xmloption client_min_messages row_security "
    b"default_tablespace default_table_access_method default_with_oids escape_string_warning search_path role "
    b"restrict_nonsystem_relation_kind synchronize_seqscans extra_float_digits quote_all_identifiers "
    b"default_toast_compression datestyle intervalstyle".split()
)
#: Encodings in which a byte that looks like a backslash or a quote may be half a character.
_UNSAFE_ENCODINGS = frozenset({b"sjis", b"shiftjis", b"shiftjis2004", b"big5", b"gbk", b"uhc", b"gb18030", b"johab"})

_TEXT = rb"(?:'[^']*+(?:''[^']*+|(?!))*+'|[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+|(?!))*+')"
_LITERAL = (
    rb"(?:(?:" + _TEXT + rb"|[+-]?[0-9][0-9.]*+(?:[eE][+-]?[0-9]++|(?!))?+|NULL|true|false)"
    rb"(?:::[A-Za-z_][A-Za-z_ .\"]*+(?:\[\]|(?!))?+|(?!))?+)"
)
_LITERALS = _LITERAL + rb"(?:\s*,\s*" + _LITERAL + rb"|(?!))*+"
_SELECTS = re.compile(
    rb"SELECT\s+(?:pg_catalog\.set_config\s*\(\s*'search_path'\s*,\s*" + _TEXT + rb"\s*,\s*(?:true|false)\s*\)"
    rb"|(?:pg_catalog\.)?(?:setval|lo_create|lo_open|lowrite|lo_close|lo_unlink)\s*\(\s*" + _LITERALS + rb"\s*\)"
    rb"|\*\s+FROM\s+pg_catalog\.pg_restore_(?:relation|attribute|extended)_stats\s*\(\s*" + _LITERALS + rb"\s*\)"
    rb"|pg_catalog\.lo_unlink\(oid\)\s+FROM\s+pg_catalog\.pg_largeobject_metadata\s+WHERE\s+oid\s+=\s+"
    + _LITERAL
    + rb")",
    re.IGNORECASE,
)
_NAME = rb'(?:[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+|"[^"]*+(?:""[^"]*+|(?!))*+")'
_VALUE = (
    rb"(?:[bBxXnN]?'[^']*+(?:''[^']*+|(?!))*+'|[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+|(?!))*+'"
    rb"|[+-]?[0-9][0-9.]*+(?:[eE][+-]?[0-9]++|(?!))?+|NULL|true|false|DEFAULT)"
)
_ROW = rb"\(\s*" + _VALUE + rb"(?:\s*,\s*" + _VALUE + rb"|(?!))*+\s*\)"
INSERT_OF_VALUES = re.compile(
    rb"INSERT\s+INTO\s+(?P<table>" + _NAME + rb"(?:\." + _NAME + rb")?)\s*"
    rb"(?:\((?P<columns>\s*" + _NAME + rb"(?:\s*,\s*" + _NAME + rb"|(?!))*+\s*)\)\s*)?"
    rb"(?:OVERRIDING\s+(?:SYSTEM|USER)\s+VALUE\s+)?"
    rb"(?:DEFAULT\s+VALUES|VALUES\s*" + _ROW + rb"(?:\s*,\s*" + _ROW + rb"|(?!))*+)"
    rb"(?:\s+ON\s+CONFLICT\s+DO\s+NOTHING)?\s*",
    re.IGNORECASE | re.DOTALL,
)
_SET_NAME = re.compile(
    rb"SET\s+(?:SESSION\s+|LOCAL\s+)?([A-Za-z_]\w*)\s*(?:=|\bTO\b)\s*(.*)", re.IGNORECASE | re.DOTALL
)
_SET_AUTHORIZATION = re.compile(
    rb"(?:SET\s+SESSION\s+AUTHORIZATION\s+(?:DEFAULT|'[^']*'|" + _NAME + rb")|RESET\s+SESSION\s+AUTHORIZATION)\s*",
    re.IGNORECASE,
)
#: `pg_dump -C` writes these among the properties of the database.
_ROLE_IN_DATABASE = re.compile(
    rb"ALTER\s+ROLE\s+" + _NAME + rb"\s+IN\s+DATABASE\s+" + _NAME + rb"\s+(?:SET|RESET)\s", re.IGNORECASE
)
_TRANSACTION = re.compile(rb"(?:BEGIN|COMMIT|START\s+TRANSACTION|END)(?:\s+TRANSACTION|\s+WORK)?\s*", re.IGNORECASE)
_BEFORE_NAMES = frozenset({b"column", b"constraint", b"index", b"to", b"on"})
_SAFE_LIBRARY = re.compile(rb"(?:\$libdir/)?[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def assess_statement(statement: Statement) -> Verdict:
    """Judge one statement by the allow-list. psql commands are judged by the dump's frame, see `plain`."""
    text = statement.text
    if text[:6].upper() == b"INSERT":
        if INSERT_OF_VALUES.fullmatch(text):
            return Verdict(Action.RUN, "INSERT")
        return Verdict(Action.REFUSE, "INSERT", "INSERT of anything but plain values is not what pg_dump writes")
    words = head_words(text)
    verb = words[0] if words else ""
    judge = _JUDGES.get(verb)
    if judge is None:
        return _refuse_unknown(text, verb)
    return judge(text, words)


def _refuse_unknown(text: bytes, verb: str) -> Verdict:
    shown = format_untrusted(text[:40].decode("utf-8", "replace"), 40)
    return Verdict(Action.REFUSE, verb, f"«{shown}» is not a statement that pg_dump writes")


def _assess_copy(text: bytes, _words: tuple[str, ...]) -> Verdict:
    if COPY_FROM_STDIN.fullmatch(text):
        return Verdict(Action.RUN, "COPY")
    words = {token.body for token in parse_tokens(text) if token.kind == "word"}
    if b"program" in words:
        return Verdict(Action.REFUSE, "COPY", "COPY would run a program on the server")
    return Verdict(Action.REFUSE, "COPY", "COPY of anything but rows that follow in the dump reads or writes elsewhere")


def _assess_select(text: bytes, _words: tuple[str, ...]) -> Verdict:
    if _SELECTS.fullmatch(text):
        return Verdict(Action.TRY if b"lo_unlink" in text else Action.RUN, "SELECT")
    return Verdict(Action.REFUSE, "SELECT", "SELECT calls something that pg_dump does not call")


def _assess_set(text: bytes, _words: tuple[str, ...]) -> Verdict:
    if _SET_AUTHORIZATION.fullmatch(text):
        return Verdict(Action.RUN, "SET SESSION AUTHORIZATION")
    found = _SET_NAME.fullmatch(text)
    if found is None or found[1].lower() not in _SETTINGS:
        return Verdict(Action.REFUSE, "SET", "SET changes a setting that pg_dump does not change")
    if found[1].lower() == b"client_encoding":
        encoding = re.sub(rb"[^a-z0-9]", b"", found[2].lower())
        if encoding in _UNSAFE_ENCODINGS:
            reason = f"the dump is written in {encoding.decode()}, whose characters may hide quotes: dump with -E UTF8"
            return Verdict(Action.REFUSE, "SET", reason)
    return Verdict(Action.RUN, "SET")


def _assess_create(text: bytes, words: tuple[str, ...]) -> Verdict:
    rest = words[1:]
    while rest and rest[0] in _FILLERS:
        rest = rest[1:]
    kind = _kind_of(rest)
    if kind in ("FUNCTION", "PROCEDURE"):
        return _assess_routine(text, kind)
    if kind == "SCHEMA":
        return _assess_schema(text)
    return _by_kind("CREATE", kind, rest)


def _assess_schema(text: bytes) -> Verdict:
    tokens = [token for token in parse_tokens(text, 12) if token.body not in (b"if", b"not", b"exists")]
    with_owner = len(tokens) in (4, 5) and tokens[-2].body == b"authorization"
    if len(tokens) == 3 or with_owner:
        return Verdict(Action.RUN, "SCHEMA")
    return Verdict(Action.REFUSE, "SCHEMA", "CREATE SCHEMA holds further statements, which pg_dump never writes")


def _assess_routine(text: bytes, kind: str) -> Verdict:
    """The C function must come from the server's own libraries, and built-in code must not get another name."""
    language, sources = routine_language(parse_tokens(text))
    if language == b"internal":
        return Verdict(Action.REFUSE, kind, "CREATE FUNCTION gives built-in code of the server another name")
    if language == b"c" and not (sources and _SAFE_LIBRARY.fullmatch(sources[0].body) and b".." not in sources[0].body):
        return Verdict(
            Action.REFUSE, kind, "CREATE FUNCTION loads a library file from outside the server's own directory"
        )
    return Verdict(Action.RUN, kind)


def routine_language(tokens: list[Token]) -> tuple[bytes, list[Token]]:
    """Return the language of a CREATE FUNCTION in lower case (SQL if it names none), and the texts after AS."""
    language, sources, depth = b"sql", [], 0
    for index, token in enumerate(tokens[:-1]):
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        if token.kind != "word" or depth:
            continue
        following = tokens[index + 1]
        if token.body == b"language":
            language = following.body.lower()
        elif token.body == b"as" and following.kind == "string":
            sources = [following]
            if index + 3 < len(tokens) and tokens[index + 2].text == b"," and tokens[index + 3].kind == "string":
                sources.append(tokens[index + 3])
    return language, sources


def _assess_alter(text: bytes, words: tuple[str, ...]) -> Verdict:
    rest = words[1:]
    if rest[:2] == ("DEFAULT", "PRIVILEGES"):
        return Verdict(Action.RUN, "DEFAULT PRIVILEGES")
    while rest and rest[0] in _FILLERS:
        rest = rest[1:]
    kind = _kind_of(rest)
    if _ROLE_IN_DATABASE.match(text):
        return Verdict(Action.LEAVE_OUT, "DATABASE", "settings of the database itself are not taken over")
    if kind == "EXTENSION":
        return Verdict(Action.REFUSE, kind, "ALTER EXTENSION is not a statement that pg_dump writes")
    tokens = parse_tokens(text)
    if kind and _renames(tokens):
        return Verdict(Action.REFUSE, kind, f"ALTER {kind} gives something another name, which pg_dump never does")
    verdict = _by_kind("ALTER", kind, rest)
    if verdict.action is Action.RUN and kind == "TABLE" and _drops(tokens):
        return Verdict(Action.TRY, kind)
    return verdict


def _drops(tokens: list[Token]) -> bool:
    """Whether ALTER TABLE takes something away, as `pg_dump --clean` does before it creates it."""
    words = [token.body if token.kind == "word" else b"" for token in tokens]
    return any(
        first == b"drop" and second in (b"constraint", b"default", b"identity") for first, second in pairwise(words)
    )


def _renames(tokens: list[Token]) -> bool:
    """Whether ALTER gives another name or schema; something that is itself called "rename" does not count."""
    for index, token in enumerate(tokens):
        if token.kind != "word":
            continue
        before = tokens[index - 1]
        is_name = before.text == b"." or (before.body in _BEFORE_NAMES and tokens[index - 2].text != b".")
        if token.body == b"rename" and not (is_name and before.kind != "name"):
            return True
        if token.body == b"schema" and before.text.lower() == b"set":
            return True
    return False


def _assess_drop(_text: bytes, words: tuple[str, ...]) -> Verdict:
    rest = words[1:]
    while rest and rest[0] in _FILLERS:
        rest = rest[1:]
    verdict = _by_kind("DROP", _kind_of(rest), rest)
    return Verdict(Action.TRY, verdict.kind) if verdict.action is Action.RUN else verdict


def _assess_comment(_text: bytes, words: tuple[str, ...]) -> Verdict:
    rest = tuple(word for word in words[2:] if word not in _FILLERS)
    kind = "TABLE" if rest[:1] in (("COLUMN",), ("CONSTRAINT",)) else _kind_of(rest)
    verdict = _by_kind("COMMENT ON", kind, rest)
    return Verdict(Action.RUN, "COMMENT") if verdict.action is Action.RUN else verdict


def _assess_grant(text: bytes, words: tuple[str, ...]) -> Verdict:
    tokens = parse_tokens(text)
    on = next((index for index, token in enumerate(tokens) if token.kind == "word" and token.body == b"on"), None)
    if on is None:
        return Verdict(Action.REFUSE, words[0], f"{words[0]} of a role belongs to the whole server")
    what = tokens[on + 1].body.upper().decode("ascii", "replace") if on + 1 < len(tokens) else ""
    if what in ("PARAMETER", "TABLESPACE"):
        return Verdict(Action.REFUSE, words[0], f"{words[0]} on a {what.lower()} belongs to the whole server")
    if what == "DATABASE":
        return Verdict(Action.LEAVE_OUT, words[0], "rights on the database itself are not taken over")
    return Verdict(Action.RUN, words[0])


def _assess_refresh(_text: bytes, words: tuple[str, ...]) -> Verdict:
    if words[1:3] == ("MATERIALIZED", "VIEW"):
        return Verdict(Action.RUN, "REFRESH")
    return Verdict(Action.REFUSE, "REFRESH", "REFRESH of anything but a materialized view is not what pg_dump writes")


def _assess_security(_text: bytes, words: tuple[str, ...]) -> Verdict:
    if words[1:2] == ("LABEL",):
        return Verdict(Action.RUN, "SECURITY LABEL")
    return Verdict(Action.REFUSE, "SECURITY", "SECURITY is not a statement that pg_dump writes")


def _assess_transaction(text: bytes, words: tuple[str, ...]) -> Verdict:
    if _TRANSACTION.fullmatch(text):
        return Verdict(Action.LEAVE_OUT, "TRANSACTION")
    return _refuse_unknown(text, words[0])


def _assess_reset(text: bytes, words: tuple[str, ...]) -> Verdict:
    return _assess_set(text, words)


def _kind_of(words: tuple[str, ...]) -> str:
    fitting = [kind for kind in _OBJECT_KINDS if words[: len(kind)] == kind]
    return max((" ".join(kind) for kind in fitting), key=len, default="")


def _by_kind(verb: str, kind: str, words: tuple[str, ...]) -> Verdict:
    first = words[0] if words else ""
    if kind:
        return Verdict(Action.RUN, kind)
    if first in LEFT_OUT:
        return Verdict(Action.LEAVE_OUT, first, LEFT_OUT[first])
    if first in _FORBIDDEN:
        return Verdict(Action.REFUSE, first, f"{verb} {first} {_FORBIDDEN[first]}; pg_dump never writes it")
    return Verdict(Action.REFUSE, first, f"{verb} {format_untrusted(first, 30)} is not a statement that pg_dump writes")


_JUDGES = {
    "ALTER": _assess_alter,
    "BEGIN": _assess_transaction,
    "COMMENT": _assess_comment,
    "COMMIT": _assess_transaction,
    "COPY": _assess_copy,
    "CREATE": _assess_create,
    "DROP": _assess_drop,
    "GRANT": _assess_grant,
    "REFRESH": _assess_refresh,
    "RESET": _assess_reset,
    "REVOKE": _assess_grant,
    "SECURITY": _assess_security,
    "SELECT": _assess_select,
    "SET": _assess_set,
}
