"""Which statements of a dump may be run, and what each of them makes. Whatever is not known to be harmless is refused.

A statement that may run changes only the database it is loaded into, reads no file, and calls no code of the dump. The
rules follow the grammar in the servers' manuals; they are applied to every reading of versioned comments.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dbtui.adapters.mysql.cursor import Cursor, Refusal
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.programs import Cuts, judge_event, judge_routine, judge_trigger
from dbtui.adapters.mysql.rows import parse_name
from dbtui.adapters.mysql.settings import follow_kept, judge_set
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.table_options import judge_create_table, own_columns, own_sequences
from dbtui.adapters.mysql.tokens import Token, UnreadableError, readers_of, tokens

_CREATED = re.compile(rb"CREATE TABLE (?:IF NOT EXISTS )?(`(?:[^`]|``)*`)")


def created_table(text: bytes) -> str | None:
    """Return the table that a statement creates, as dump tools write it; None for any other statement."""
    found = _CREATED.match(text)
    return parse_name(found[1]) if found else None


class Action(StrEnum):
    """What loading does with a statement."""

    RUN = "run"
    SKIP = "skip"  # it means nothing, or something that loading does in its own way


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a statement is. `kind` is what it makes ("table", "view"…) or does; `cuts` are spans that may be replaced.

    `cuts` by purpose: "definer", "qualifier" (the dump's own database before a name), "enable" (of an event),
    "database" (the name in ALTER DATABASE).
    """

    kind: str
    name: str = ""
    action: Action = Action.RUN
    definer: str = ""
    cuts: Cuts = ()
    effect: tuple[str, ...] = ()  # of SET: what changes how later text is read
    table: str = ""  # of a trigger: the table it is on


def edit(text: bytes, verdict: Verdict, replacements: Mapping[str, bytes]) -> bytes:
    """Return a statement with some of its parts, by purpose, replaced; the others stay as they are."""
    for purpose, start, end in sorted(verdict.cuts, key=lambda cut: -cut[1]):
        if purpose in replacements:
            text = text[:start] + replacements[purpose] + text[end:]
    return text


@dataclass(slots=True)
class Judge:
    """Judges the statements of one dump in turn: some are harmless only after, or before, others."""

    source: str = ""  # the database that was dumped, where that is known
    databases: set[str] = field(default_factory=set)
    triggered: set[str] = field(default_factory=set)  # tables, in small letters, and so are views
    views: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    sequences: set[str] = field(default_factory=set)
    others: int = 0  # triggers, routines, events
    unsettled: set[str] = field(default_factory=set)  # variables that keep a setting which is not set back yet
    has_settled: bool = False  # whether one that was kept at the beginning was set back

    @property
    def own_database(self) -> str:
        """The database that was dumped, as the dump or a USE in it says; empty where nothing does."""
        return self.source or next(iter(self.databases), "")

    @property
    def makes_nothing(self) -> bool:
        """Whether no statement so far makes anything."""
        return not (self.tables or self.views or self.sequences or self.others)

    def is_homeless(self, table: str) -> bool:
        """Whether rows are for a table that the dump does not make."""
        return table.lower() not in self.tables

    def judge(self, statement: Statement) -> Verdict:
        """Return what a statement is. Raises Refusal with what speaks against running it."""
        if statement.insert is not None:
            return self._judge_insert(statement)
        if not statement.is_ended:
            raise Refusal("the last statement does not end")
        try:
            verdicts = {
                reader: self._judge_words(list(tokens(statement.text, statement.modes, reader.runs)))
                for reader in readers_of(statement.text)
            }
        except UnreadableError as error:
            raise Refusal(error.message) from error
        if len({verdict.effect for verdict in verdicts.values()}) > 1:
            raise Refusal("servers of different versions would read what follows differently")
        if len({verdict.kind for verdict in verdicts.values()} - {"nothing"}) > 1:
            raise Refusal("servers of different versions would read this differently")
        return max(verdicts.values(), key=lambda one: (one.kind != "nothing", len(one.cuts)))

    def _judge_insert(self, statement: Statement) -> Verdict:
        head = statement.insert
        if head is None or not head.is_literal:
            raise Refusal("an INSERT whose rows are not plain values")
        if head.is_qualified:
            raise Refusal(f"rows for another database, {show_name(head.table)}")
        if head.table.lower() in self.triggered:
            raise Refusal(f"rows for {show_name(head.table)} after one of its triggers, which would run")
        if head.table.lower() in self.views:
            raise Refusal(f"rows for the view {show_name(head.table)}, which may lie in another database")
        if self.is_homeless(head.table):
            raise Refusal(homeless_rows(head.table))
        return Verdict("rows", head.table)

    def _judge_words(self, words: list[Token]) -> Verdict:
        while words and words[-1].is_sign(";"):
            words.pop()
        if not words:
            return Verdict("nothing", action=Action.SKIP)
        cursor = Cursor(words)
        first = cursor.take()
        if first.is_sign("\\"):
            raise Refusal("a command of the mysql client")
        if first.is_word("INSERT", "REPLACE"):
            raise Refusal("rows in a form that is not understood; make the dump again without --compatible")
        rule = _RULES.get(first.text.upper()) if first.kind == "word" else None
        if rule is None:
            raise Refusal(f"a statement that no dump needs: {show_name(first.text.upper())}")
        verdict = rule(self, cursor)
        if verdict.kind not in _WITH_BODY and any(word.is_sign(";") or word.is_sign("\\") for word in words):
            raise Refusal("two statements where one should be")
        return verdict

    # ------------------------------------------------------------ one rule for each first word

    def _set(self, cursor: Cursor) -> Verdict:
        action, effect = judge_set(cursor.words)
        settled = follow_kept(cursor.words, self.unsettled)
        self.has_settled = self.has_settled or any(name.startswith("@old_") for name in settled)
        return Verdict("setting", action=Action.SKIP if action == "skip" else Action.RUN, effect=effect)

    def _use(self, cursor: Cursor) -> Verdict:
        self._one_database(cursor.name())
        cursor.end()
        return Verdict("use", action=Action.SKIP)

    def _one_database(self, name: str) -> None:
        is_new = name not in self.databases
        self.databases.add(name)
        if is_new and len(self.databases) > 1:  # said once for each
            raise Refusal(f"a second database, {show_name(name)}; {_CUT_OUT}")

    def _drop(self, cursor: Cursor) -> Verdict:
        cursor.skip("TEMPORARY")
        kind = cursor.word("TABLE", "VIEW", "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "SEQUENCE", "PACKAGE",
                           "DATABASE", "SCHEMA")  # fmt: skip
        cursor.skip("BODY")
        cursor.skip("IF", "EXISTS")
        if kind in ("DATABASE", "SCHEMA"):
            self._one_database(cursor.name())
            return Verdict("use", action=Action.SKIP)
        names = cursor.own_names()
        cursor.skip("CASCADE")
        cursor.skip("RESTRICT")
        cursor.end()
        return Verdict("drop", names[0])

    def _create(self, cursor: Cursor) -> Verdict:
        definer, cuts = "", []
        while (word := cursor.take()).is_word(*_MODIFIERS):
            if word.is_word("DEFINER"):
                definer, end = cursor.account()
                cuts.append(("definer", word.start, end))
            elif word.is_word("ALGORITHM"):
                cursor.sign("=")
                cursor.take()
            elif word.is_word("SQL"):
                cursor.word("SECURITY")
                cursor.take()
        kind = word.text.upper() if word.kind == "word" else ""
        if kind in ("DATABASE", "SCHEMA"):
            cursor.skip("IF", "NOT", "EXISTS")
            self._one_database(cursor.name())
            return Verdict("use", action=Action.SKIP)
        if kind not in _CREATED_KINDS:
            raise Refusal(f"CREATE {show_name(word.text.upper())}, which no dump of one database needs")
        self.others += kind not in ("TABLE", "VIEW", "SEQUENCE", "INDEX")
        if kind == "TRIGGER":
            name, table, more = judge_trigger(cursor)
            self.triggered.add(table.lower())
            return Verdict("trigger", name, definer=definer, cuts=(*cuts, *more), table=table)
        name, more = self._judge_created(kind, cursor)
        return Verdict(kind.lower(), name, definer=definer, cuts=(*cuts, *more))

    def _judge_created(self, kind: str, cursor: Cursor) -> tuple[str, Cuts]:
        if kind == "EVENT":
            return judge_event(cursor)
        if kind in ("FUNCTION", "PROCEDURE", "PACKAGE"):
            return judge_routine(kind, cursor), ()
        if kind == "TABLE":
            name = judge_create_table(cursor)
            self.views.discard(name.lower())
            self.tables.add(name.lower())
            return name, own_sequences(cursor.words, self.own_database, self.sequences)
        cursor.skip("IF", "NOT", "EXISTS")
        name = cursor.own_name()
        if kind == "INDEX":
            cursor.find_word("ON")
            name = cursor.own_name()
        if kind == "SEQUENCE":
            self.sequences.add(name)
        if kind != "VIEW":
            return name, ()
        if cursor.has_word("INTO"):
            raise Refusal("a view that writes a file")
        self.views.add(name.lower())
        of = self.own_database
        return name, (*own_sequences(cursor.words, of, self.sequences), *own_columns(cursor.words, of))

    def _alter(self, cursor: Cursor) -> Verdict:
        kind = cursor.word("TABLE", "DATABASE", "SCHEMA")
        if kind != "TABLE":
            return self._alter_database(cursor)
        name = cursor.own_name()
        first = cursor.word("DISABLE", "ENABLE", "ADD", "MODIFY", "AUTO_INCREMENT", "ORDER")
        refused = cursor.has_word(*_ALTER_REFUSED)
        if refused:
            raise Refusal(f"ALTER TABLE … {refused}")
        return Verdict("keys" if first in ("DISABLE", "ENABLE") else "alter", name)

    def _alter_database(self, cursor: Cursor) -> Verdict:
        word = cursor.peek()
        self._one_database(cursor.name())
        if word is None or cursor.has_word_other_than("DEFAULT", "CHARACTER", "SET", "CHARSET", "COLLATE"):
            raise Refusal("ALTER DATABASE of more than its character set")
        return Verdict("database", cuts=(("database", word.start, word.end),))

    def _setval(self, cursor: Cursor) -> Verdict:
        cursor.word("SETVAL")
        cursor.sign("(")
        name = cursor.own_name()
        for word in cursor.rest():
            if word.kind != "number" and not (word.kind == "sign" and word.text in ",-)"):
                raise Refusal("SETVAL with more than numbers")
        return Verdict("sequence value", name)

    def _lock(self, cursor: Cursor) -> Verdict:
        cursor.word("TABLES", "TABLE")
        return Verdict("lock", action=Action.SKIP)

    def _skip(self, cursor: Cursor) -> Verdict:
        if cursor.has_word_other_than("TRANSACTION", "WORK", "TABLES", "TABLE"):
            raise Refusal("a statement that is not understood")
        return Verdict("transaction", action=Action.SKIP)


def homeless_rows(table: str) -> str:
    """Say why rows for a table that the dump does not make cannot be loaded."""
    return f"rows for {show_name(table)}, which the dump does not make; make it again without --no-create-info"


_CUT_OUT = (
    "a dump of one can be restored: cut it out with sed -n -e '1,/^-- Current Database: /p' "
    "-e '/^-- Current Database: `NAME`/,/^-- Current Database: /p' -e '$p'"
)
_MODIFIERS = ("OR", "REPLACE", "ALGORITHM", "DEFINER", "SQL", "TEMPORARY", "UNIQUE", "FULLTEXT", "SPATIAL", "AGGREGATE")
_CREATED_KINDS = ("TABLE", "VIEW", "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "SEQUENCE", "INDEX", "PACKAGE")
_ALTER_REFUSED = ("RENAME", "EXCHANGE", "DISCARD", "IMPORT", "DIRECTORY", "ENGINE", "CONNECTION", "SELECT", "UNION")
_WITH_BODY = ("trigger", "function", "procedure", "event", "package")
_RULES: dict[str, Callable[[Judge, Cursor], Verdict]] = {
    "SET": Judge._set,
    "USE": Judge._use,
    "DROP": Judge._drop,
    "CREATE": Judge._create,
    "ALTER": Judge._alter,
    "DO": Judge._setval,
    "SELECT": Judge._setval,
    "LOCK": Judge._lock,
    "UNLOCK": Judge._skip,
    "START": Judge._skip,
    "BEGIN": Judge._skip,
    "COMMIT": Judge._skip,
}
