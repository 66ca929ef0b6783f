"""From a statement's text to its shape, fast: texts that differ in their values alone are read once.

The memo's key is itself a statement: each string becomes `''`, each number other than 1 becomes `0`, and a list of
more than two of them becomes two. The shape that is kept under a key is the shape of the key, so texts with one key
cannot get two shapes; and as reading folds strings, numbers and lists anyhow, the shape of the key is the shape of the
text. That holds only where cutting at quotes finds the strings. So a text is read for itself, and not kept, when it has
a backslash, a comment within, a dollar quote, quotes of one kind within quotes of another, or an odd number of quotes.
And a key whose quoted names hold a number of their own is never used: there the number is part of the name.
"""

import re

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.shapes import classify, find_values
from dbtui.analysis.queries.statements import Item, ItemKind, Statement, read_statement
from dbtui.analysis.queries.tags import NO_TAGS, Tags, parse_tags
from dbtui.model.connections import EngineName
from dbtui.model.queries import Lookup, Shape, ShapeKind

#: A number that does not go on a name, unless it is a lone 1: `LIMIT 1` says something that `LIMIT 12` does not.
_NUMBER = re.compile(r"[0-9](?<![\w$][0-9])(?:(?<!1)|(?=[0-9]))[0-9]*")
_IN_LIST = re.compile(r"\b([iI][nN] ?\()(?:[01]|'')(?:, ?(?:[01]|''))+\)")
_MANY = re.compile(r"[0-9]+(?:, ?[0-9]+)+")
_ROWS = re.compile(r"\b([vV][aA][lL][uU][eE][sS] ?\([^()]*\))(?:, ?\([^()?$%:@]*\))+")
_DOLLAR_QUOTE = re.compile(r"\$(?!\d)")
_ZERO_IN_NAME = re.compile(r"(?<![\w$])0")
_MOST_KEYS = 16_000
_MOST_TEXTS = 10_000
_MOST_WANTED = 1_000
DIGITS = "0123456789"
_ONE_DIGIT = frozenset(DIGITS)
_NUMBER_BEHIND, _NUMBER_BEFORE = 2, 3  # the parts of a near key whose number stands there beside the sign
_ORDINAL_BINDS = ("?", "%s")
#: In the memo for a key that must not be used.
_NOT_OF_KEY = Form(Shape("", ShapeKind.UNREADABLE))


def memo_key(sql: str) -> str | None:
    """Return a statement that has the same shape, the same for most statements of it; None where that is not sure."""
    if "\\" in sql or "--" in sql or "/*" in sql or "#" in sql or ("$" in sql and _DOLLAR_QUOTE.search(sql)):
        return None
    if "'" in sql:
        parts = sql.split("'")
        if not len(parts) & 1:
            return None
        outside = parts[::2]
        has_double, has_back = '"' in sql, "`" in sql
        if has_double or has_back:
            if has_double and has_back:
                return None
            quote = '"' if has_double else "`"
            for part in outside:
                if part.count(quote) & 1:
                    return None
        sql = "''".join(outside)
    key = _NUMBER.sub("0", sql)
    if ", 0" in key or ",0" in key or "''," in key:
        key = _IN_LIST.sub(_two_values, key)
        if "), (" in key or "),(" in key:
            key = _ROWS.sub(_two_rows, key)
    return key


def _two_values(found: re.Match[str]) -> str:
    """A list of many values; as a function, because a template is filled in slowly."""
    return f"{found[1]}0, 0)"


def _two_rows(found: re.Match[str]) -> str:
    return f"{found[1]}, (0)"


def near_key(sql: str) -> tuple[str, ...] | None:
    """Return a statement without the number on one side of its last ` = `, else without those of its last list.

    None when there is neither. Statements with one such key have one shape: the rest is the same to the letter, a
    number that is not a lone 1 becomes 0 in the `memo_key`, and lists of many are one. It is found much quicker, and
    most statements of an ORM have one.
    """
    before, sign, after = sql.rpartition(" = ")
    if after[:1] in _ONE_DIGIT:
        rest = after.lstrip(DIGITS)
        if not sign or rest[:1] not in " ;)\n" or after[: len(after) - len(rest)] == "1":
            return None
        return before, rest
    head = before.rstrip(DIGITS)
    if len(head) == len(before):
        head, sign, after = sql.rpartition(" IN (")
        if not sign:
            return None
        inside, end, after = after.partition(")")
        return (head, after, "", "IN") if end and _MANY.fullmatch(inside) else None
    if head[-1:] not in (" ", "(") or before[len(head) :] == "1":
        return None
    return head, after, ""


def cut_comments(sql: str) -> tuple[str, str]:
    """Return a statement without the comments before and behind it, and what those say.

    The statement may be wrong when the text was cut, or when a string ends as a comment does: who asks must see
    whether what is left has all its quotes closed.
    """
    said = []
    text = sql.rstrip("; \t\r\n")
    while text.endswith("*/"):
        start = text.rfind("/*")
        if start < 0 or "*/" in text[start + 2 : -2]:
            break
        said.append(text[start + 2 : -2])
        text = text[:start].rstrip("; \t\r\n")
    text = text.lstrip()
    while text.startswith("/*"):
        end = text.find("*/")
        if end < 0 or "/*" in text[2:end]:
            break
        said.append(text[2:end])
        text = text[end + 2 :].lstrip()
    return text, ",".join(said)


class Normaliser:
    """Gives statements their shapes. `engine`: whose way to quote is meant; each text decides when it is not known.

    Its memory is bounded. `tags` are those of the statement that was read last.
    """

    def __init__(self, engine: EngineName | None = None) -> None:
        self._engine = engine
        self._keys: dict[str, Form] = {}
        self._older: dict[str, Form] = {}
        self._forms: dict[tuple[str, bool, bool], Form] = {}
        #: Texts without values of their own, such as prepared statements, and others that came twice in a row. Read by
        #: the detector without asking.
        self.texts: dict[str, Form] = {}
        #: Texts without one of their numbers, by `near_key`. Read by the detector too.
        self.near: dict[tuple[str, ...], Form] = {}
        #: What came after a shape when it was last seen: the text before and behind a number, or a whole text and
        #: None; and its form. A loop asks the same in turn, and to compare is quicker than to look up. None: at first.
        self.next: dict[Form | None, tuple[str, str | None, Form]] = {}
        self._latest: dict[Form, str] = {}  # texts
        self._wanted: dict[str, tuple[list[tuple[Lookup, Item]], list[Item]]] = {}
        self.tags: Tags = NO_TAGS

    def shape(self, sql: str, *, is_truncated: bool = False) -> Shape:
        """Return the shape of a statement. `is_truncated`: its source says that the text is not whole."""
        return self.read(sql, is_truncated=is_truncated).shape

    def tags_of(self, sql: str) -> Tags:
        """Return what a statement's comments say of its trace and of where it came from."""
        text, said = cut_comments(sql)
        return parse_tags(said) if said and self._is_whole(text) else NO_TAGS

    def read(self, sql: str, *, is_truncated: bool = False) -> Form:
        """Return the form of a statement, and leave what its comments say in `tags`."""
        self.tags = NO_TAGS
        if is_truncated:
            return self._form(read_statement(sql, self._engine, is_cut=True))
        form = self.texts.get(sql)
        if form is not None:
            return form
        near = near_key(sql)
        if near is not None and (form := self.near.get(near)) is not None:
            return form
        text, said = sql, ""
        if "*/" in sql:
            if "\\" in sql:  # where a string ends, and so what is a comment, depends on whose backslash it is
                return self._form(read_statement(sql, self._engine))
            text, said = cut_comments(sql)
        key = memo_key(text)
        if key is None:
            return self._read_plainly(sql, text, said)
        if said:
            self.tags = parse_tags(said)
        form = self._recall(key, text)
        if near is not None and not said and self._keys[key] is form:
            if len(self.near) >= _MOST_TEXTS:
                self.near.clear()
            self.near[near] = form
        if not said and (form.shape.is_hidden or key == sql or self._latest.get(form) == sql):
            if len(self.texts) >= _MOST_TEXTS:
                self.texts.clear()
            self.texts[sql] = form
        elif not said:
            if len(self._latest) >= _MOST_TEXTS:
                self._latest.clear()
            self._latest[form] = sql
        return form

    def expect(self, before: Form | None, sql: str, near: tuple[str, ...] | None, form: Form) -> None:
        """Keep what a statement without comments read as, for when one comes after `before` again."""
        if len(self.next) >= _MOST_TEXTS:
            self.next.clear()
        if near is None:
            self.next[before] = sql, None, form
        elif len(near) == _NUMBER_BEHIND:
            self.next[before] = f"{near[0]} = ", near[1], form
        elif len(near) == _NUMBER_BEFORE:
            self.next[before] = near[0], f" = {near[1]}", form

    def values(self, sql: str, params: tuple[object, ...] | None = None) -> list[tuple[Lookup, str]]:
        """Return what a statement looks rows up by; bind markers stand for themselves where nobody knows more."""
        wanted, markers = self._wanted.get(sql) or self._find_wanted(sql)
        if not params:
            return [(lookup, item.raw) for lookup, item in wanted]
        return [(lookup, str(_bound(item, markers, params))) for lookup, item in wanted]

    def _find_wanted(self, sql: str) -> tuple[list[tuple[Lookup, Item]], list[Item]]:
        """Return what a statement looks rows up by, and its bind markers; kept for texts that come again."""
        statement = read_statement(cut_comments(sql)[0] if "*/" in sql else sql, self._engine)
        markers = [item for item in statement.items if item.kind is ItemKind.VALUE and item.is_hidden]
        found = find_values(statement), markers
        if sql in self.texts:
            if len(self._wanted) >= _MOST_WANTED:
                self._wanted.clear()
            self._wanted[sql] = found
        return found

    def value_spans(self, sql: str) -> tuple[tuple[int, int], ...]:
        """Return where in a statement's text the values stand that it looks rows up by."""
        return tuple((item.start, item.end) for _, item in find_values(read_statement(sql, self._engine)))

    def _recall(self, key: str, text: str) -> Form:
        form = self._keys.get(key)
        if form is None:
            form = self._older.get(key) or self._form_of_key(key)
            if len(self._keys) >= _MOST_KEYS:
                self._older, self._keys = self._keys, {}
            self._keys[key] = form
        if form is _NOT_OF_KEY:
            return self._form(read_statement(text, self._engine))
        return form

    def _form_of_key(self, key: str) -> Form:
        """Read a key, and say when it must not be used."""
        statement = read_statement(key, self._engine)
        for item in statement.items:
            if item.kind is ItemKind.NAME and _ZERO_IN_NAME.search(item.raw):
                return _NOT_OF_KEY
        return self._form(statement)

    def _read_plainly(self, sql: str, text: str, said: str) -> Form:
        """Read a text that has no key."""
        if said:
            statement = read_statement(text, self._engine)
            if not statement.is_cut:
                self.tags = parse_tags(said)
                return self._form(statement)
        return self._form(read_statement(sql, self._engine))

    def _form(self, statement: Statement) -> Form:
        shape = classify(statement)
        key = (shape.text, shape.is_hidden, shape.is_truncated)
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= 2 * _MOST_KEYS:
                self._forms.clear()
            form = self._forms[key] = Form(shape, has_many_values=_count_values(statement.items) > 1)
        return form

    def _is_whole(self, text: str) -> bool:
        return memo_key(text) is not None or not read_statement(text, self._engine).is_cut


def _count_values(items: list[Item]) -> int:
    """Count the values that are no limit."""
    values = [at for at, item in enumerate(items) if item.kind is ItemKind.VALUE]
    return sum(not at or items[at - 1].text not in ("LIMIT", "OFFSET") for at in values)


def _bound(item: Item, markers: list[Item], params: tuple[object, ...]) -> object:
    """Return the parameter that a bind marker stands for; all of them when that is not known."""
    if not item.is_hidden:
        return item.raw
    if item.raw.startswith("$") and item.raw[1:].isdigit():
        at = int(item.raw[1:]) - 1
    elif item.raw in _ORDINAL_BINDS:
        ordinals = [marker.start for marker in markers if marker.raw == item.raw]
        at = ordinals.index(item.start) if item.start in ordinals else len(params)
    else:
        return params
    return params[at] if 0 <= at < len(params) else params
