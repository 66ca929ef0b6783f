"""The heads of triggers, events and routines. Their bodies are stored, not run, so they may say anything."""

from dbtui.adapters.mysql.cursor import Cursor, Refusal
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.tokens import Token

Cuts = tuple[tuple[str, int, int], ...]


def _maybe_qualified(cursor: Cursor) -> tuple[str, str, Cuts]:
    """Take `name` or `database.name`; a trigger keeps the words it was created with, its database among them."""
    first = cursor.take()
    if first.kind not in ("name", "word"):
        raise Refusal("a name is missing")
    ahead = cursor.peek()
    if ahead is None or not ahead.is_sign("."):
        return "", first.text, ()
    dot = cursor.take()
    second = cursor.take()
    if second.kind not in ("name", "word"):
        raise Refusal("a name is missing")
    return first.text, second.text, (("qualifier", first.start, dot.end),)


def judge_trigger(cursor: Cursor) -> tuple[str, str, Cuts]:
    """Take a trigger's head: its name, the table it is on, and a database before them, cut when it is loaded."""
    cursor.skip("IF", "NOT", "EXISTS")
    of, name, cuts = _maybe_qualified(cursor)
    cursor.word("BEFORE", "AFTER")
    cursor.find_word("ON")
    on, table, more = _maybe_qualified(cursor)
    if of and on and of != on:
        raise Refusal(f"trigger {show_name(name)} is on a table of another database")
    cursor.word("FOR")
    return name, table, cuts + more


def judge_event(cursor: Cursor) -> tuple[str, Cuts]:
    """Take an event's head; find the word that switches it on."""
    cursor.skip("IF", "NOT", "EXISTS")
    name = cursor.own_name()
    before: Token | None = None
    while not (word := cursor.take()).is_word("DO"):
        if word.is_word("ENABLE"):
            before = word
        if word.is_word("RENAME"):
            raise Refusal(f"event {show_name(name)} moves to another name")
    return name, (("enable", before.start, before.end),) if before else ()


def judge_routine(kind: str, cursor: Cursor) -> str:
    """Take a routine's head. A function made of a library of the server's is no part of a database."""
    if kind == "PACKAGE":
        cursor.skip("BODY")
    cursor.skip("IF", "NOT", "EXISTS")
    name = cursor.own_name()
    ahead = cursor.peek()
    if (ahead is None or not ahead.is_sign("(")) and cursor.has_word("SONAME"):
        raise Refusal(f"function {show_name(name)} comes from a program library of the server")
    return name
