"""SET statements: only what dumps set, only for the session, only to plain values."""

import re

from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.sql_lexer import assignments
from dbtui.adapters.mysql.table_options import ENGINES
from dbtui.adapters.mysql.tokens import Token

_SESSION = frozenset({
    "autocommit", "character_set_client", "character_set_connection", "character_set_database", "character_set_results",
    "check_constraint_checks", "collation_connection", "collation_database", "default_storage_engine", "names",
    "foreign_key_checks", "note_verbosity", "sql_mode", "sql_notes", "sql_quote_show_create", "sql_safe_updates",
    "storage_engine", "time_zone", "timestamp", "unique_checks", "insert_id", "innodb_strict_mode",
    "explicit_defaults_for_timestamp", "show_create_table_verbosity", "system_versioning_insert_history",
    "system_versioning_alter_history", "max_statement_time", "statement_timeout", "net_read_timeout",
    "net_write_timeout", "wait_timeout", "character set", "use_stat_tables", "alter_algorithm",
    "sql_generate_invisible_primary_key", "information_schema_stats_expiry",
})  # fmt: skip
#: What dumps carry for replication and what a restore must not repeat: it is left out.
_LEFT_OUT = frozenset({"gtid_purged", "sql_log_bin", "gtid_slave_pos", "pseudo_slave_mode", "rbr_exec_mode"})
#: Character sets in which a byte of a letter can look like a quotation mark or a backslash.
_UNSAFE_CHARSETS = frozenset({"big5", "cp932", "gb18030", "gbk", "sjis", "ucs2", "utf16", "utf16le", "utf32"})
_READING = frozenset({"names", "character_set_client", "sql_mode", "character_set_connection", "collation_connection"})
_LITERALS = ("string", "number", "word", "variable")


def judge_set(words: list[Token]) -> tuple[str, tuple[str, ...]]:
    """Return "run" or "skip", and what of it changes how later text is read. Raises Refusal."""
    if any(word.is_word("GLOBAL", "PERSIST", "PERSIST_ONLY") for word in words[:2]) and not _is_left_out(words):
        raise Refusal("SET GLOBAL changes the whole server")
    if _is_left_out(words):
        return "skip", ()
    if len(words) >= 4 and words[1].is_word("CHARACTER") and words[2].is_word("SET"):
        _judge_charset(words[3])
        return "run", (words[3].text,)
    effect = []
    pairs = list(assignments(_without_collate(words)))
    for target, value in pairs:
        name = _judge_target(target)
        if value is None or value.kind not in _LITERALS:
            raise Refusal(f"SET {show_name(target)} to something that is not a plain value")
        if name in ("names", "character_set_client"):
            _judge_charset(value)
        if name == "sql_mode" and value.kind not in ("string", "variable"):
            raise Refusal("SET sql_mode to something that is not a text")
        if name == "sql_mode" and value.kind == "variable" and not _is_kept_mode(value.text):
            raise Refusal("SET sql_mode to something that is not known")
        if name in ("storage_engine", "default_storage_engine") and value.text.upper() not in ENGINES:
            raise Refusal(f"SET {show_name(target)} to {show_name(value.text)}, which reaches outside the database")
        if name in _READING or "sql_mode" in value.text.lower():
            effect.append(f"{name}={value.text}")
    if not pairs:
        raise Refusal("a SET that sets nothing")
    return "run", tuple(effect)


def follow_kept(words: list[Token], unsettled: set[str]) -> set[str]:
    """Note which settings a dump keeps in variables of its own; return those it sets back, at its end all of them."""
    settled = set()
    for target, value in assignments(_without_collate(words)):
        if value is None or value.kind != "variable":
            continue
        of, to = target.lower(), value.text.lower()
        if _is_own(of) and not _is_own(to):
            unsettled.add(of)
        elif _is_own(to) and not _is_own(of):
            settled.add(to)
    unsettled -= settled
    return settled


def _is_own(variable: str) -> bool:
    return variable.startswith("@") and not variable.startswith("@@")


def _is_left_out(words: list[Token]) -> bool:
    names = {re.sub(r"^@@(?:global|session)\.|^@@", "", word.text.lower()) for word in words[1:3]}
    return bool(names & _LEFT_OUT)


def _without_collate(words: list[Token]) -> list[Token]:
    if len(words) == 5 and words[1].is_word("NAMES") and words[3].is_word("COLLATE"):
        return words[:3]
    return words


def _judge_target(target: str) -> str:
    """Return the name of a session variable or `@variable` that a dump may set."""
    low = target.lower()
    if low.startswith("@") and not low.startswith("@@"):
        return low
    if low.startswith(("@@global", "@@persist", "global ", "persist ")):
        raise Refusal("SET GLOBAL changes the whole server")
    name = re.sub(r"^@@(?:session\.|local\.)?", "", low)
    if name not in _SESSION:
        raise Refusal(f"SET {show_name(target)}, which no dump needs")
    return name


def _is_kept_mode(text: str) -> bool:
    return not text.startswith("@@") or text.lower() in ("@@sql_mode", "@@session.sql_mode")


def _judge_charset(value: Token) -> None:
    if value.text.lower() in _UNSAFE_CHARSETS:
        raise Refusal(f"the character set {show_name(value.text)}, in which a letter can hide a quotation mark")
