"""CREATE TABLE: columns and options may be anything that stays inside the database."""

from collections.abc import Set

from dbtui.adapters.mysql.cursor import Cursor, Refusal
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.tokens import Token

#: Engines that keep their rows in the database itself. The others read files, or speak to other servers.
ENGINES = frozenset({
    "INNODB", "MYISAM", "ARIA", "MEMORY", "HEAP", "ARCHIVE", "CSV", "BLACKHOLE", "MERGE", "MRG_MYISAM", "MRG_ISAM",
    "NDB", "NDBCLUSTER", "ROCKSDB", "TOKUDB", "COLUMNSTORE", "XTRADB", "SEQUENCE", "MROONGA", "OQGRAPH",
})  # fmt: skip
_SEQUENCE_CALLS = ("NEXTVAL", "LASTVAL", "SETVAL")


def judge_create_table(cursor: Cursor) -> str:
    """Take a CREATE TABLE and return the table's name. Refuses rows from a query, and engines that reach outside."""
    cursor.skip("IF", "NOT", "EXISTS")
    name = cursor.own_name()
    depth, is_partitioned, in_union = 0, False, False
    previous: Token | None = None
    while cursor.peek() is not None:
        word = cursor.take()
        depth += 1 if word.is_sign("(") else -1 if word.is_sign(")") else 0
        is_partitioned = is_partitioned or (depth == 0 and word.is_word("PARTITION"))
        in_union = depth > 0 and (in_union or (previous is not None and previous.is_sign("=") and word.is_sign("(")))
        _judge_word(name, word, previous, depth, in_union=in_union)
        if word.is_word("ENGINE", "TYPE"):
            _judge_engine(name, cursor, depth, is_partitioned=is_partitioned, is_old=word.is_word("TYPE"))
        previous = word
    return name


def _judge_word(table: str, word: Token, previous: Token | None, depth: int, *, in_union: bool) -> None:
    if word.is_word("SELECT") or (depth == 0 and word.is_word("TABLE", "VALUES")):
        raise Refusal(f"table {show_name(table)} is filled from a query")
    opens = previous is not None and previous.is_sign("(") and depth == 1
    if word.is_word("LIKE") and (depth == 0 or opens):
        raise Refusal(f"table {show_name(table)} is made like another one")
    if depth == 0 and word.is_word("CONNECTION"):
        raise Refusal(f"table {show_name(table)} connects to another server")
    if in_union and word.is_sign("."):
        raise Refusal(f"table {show_name(table)} takes in tables of another database")


def _judge_engine(table: str, cursor: Cursor, depth: int, *, is_partitioned: bool, is_old: bool) -> None:
    ahead = cursor.peek()
    if ahead is not None and ahead.is_sign("="):
        cursor.take()
        ahead = cursor.peek()
    elif is_old or (depth and not is_partitioned):
        return  # a column of that name
    if ahead is not None and ahead.text.upper() not in ENGINES:
        raise Refusal(
            f"table {show_name(table)} has the engine {show_name(ahead.text)}, which reaches outside the database"
        )


def own_sequences(words: list[Token], source: str, made: Set[str]) -> tuple[tuple[str, int, int], ...]:
    """Return where a statement names sequences of the dump's own database by its name.

    MariaDB writes it before a sequence in a DEFAULT or a view, and nowhere else; left there, a restored table would
    go on counting in the database that was dumped. A dump without comments does not say which that is (`source` is
    empty): then it is whatever database is named before a sequence that the dump itself has `made`.
    """
    cuts = []
    for at, word in enumerate(words[:-4]):
        if word.is_word(*_SEQUENCE_CALLS) and words[at + 1].is_sign("("):
            of, dot = words[at + 2], words[at + 3]
            is_own = of.text == source if source else words[at + 4].text in made
            if of.kind == "name" and is_own and dot.is_sign("."):
                cuts.append(("qualifier", of.start, dot.end))
    return tuple(cuts)


def own_columns(words: list[Token], source: str) -> tuple[tuple[str, int, int], ...]:
    """Return where a view names columns of the dump's own database by database, table and column.

    MariaDB writes columns so, but not their tables, when the view's definer may not read them (any more); under any
    other name of the database such a view could not be made.
    """
    cuts = []
    for at, word in enumerate(words[:-4]):
        four = words[at + 1 : at + 5]
        is_column = [each.kind for each in four] == ["sign", "name", "sign", "name"]
        follows_dot = at > 0 and words[at - 1].is_sign(".")
        has_dots = four[0].is_sign(".") and four[2].is_sign(".")
        if word.kind == "name" and word.text == source and not follows_dot and is_column and has_dots:
            cuts.append(("qualifier", word.start, four[0].end))
    return tuple(cuts)
