"""Tells a log's log_line_prefix from its lines: each is cut into times, numbers, addresses, keys and names.

Lines of one log have one prefix, so the form that most lines have is taken, and where a background process writes less,
`%q` is put. Which of two numbers is the process is told by how they change from line to line.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from dbtui.adapters.postgresql.log_prefixes import parse_prefix
from dbtui.adapters.postgresql.log_words import Words

_KEYS = {
    "a": "a app application application_name appname",
    "u": "u user usr username user_name role",
    "d": "d db database dbname datname",
    "h": "h host client ip addr client_addr remote_host",
    "r": "r remote conn connection",
    "b": "b backend backend_type type",
    "p": "p pid process proc",
    "l": "l line log_line line_num num seq",
    "c": "c session sess sid session_id sessionid",
    "v": "v vxid vtx virtual_transaction",
    "x": "x xid tx txid trx transaction",
    "i": "i tag cmd command ps command_tag",
    "e": "e sqlstate state err error error_code code",
    "Q": "query_id queryid qid",
    "s": "s start session_start started",
    "P": "leader leader_pid",
}
_ESCAPE_OF_KEY = {key: escape for escape, keys in _KEYS.items() for key in keys.split()}
_TOKENS = re.compile(
    r"(?P<m>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Za-z0-9+-]+)"
    r"|(?P<t>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Za-z0-9+-]+)"
    r"|(?P<n>\d{10}\.\d{3})(?![\da-f])"
    r"|(?P<c>(?<![\w.])[\da-f]{6,16}\.[\da-f]+)(?![\w.])"
    r"|(?P<v>(?<![\w.])-?\d+/\d+)(?![\w.])"
    r"|(?P<r>(?:\[local\]|(?<![\w.])[\w.:%-]+\(\d+\)))"
    r"|(?P<h>(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f]*::[\da-f:]*)(?![\w.]))"
    r"|(?P<key>[A-Za-z_]+)="
    r"|(?P<at>(?:\[unknown\]|[^\s@,;|=\[\]():]*)@(?:\[unknown\]|[^\s@,;|=\[\]():]*))"
    r"|(?P<line>\[\d+-1\])"
    r"|(?P<b>(?:client|background|parallel|autovacuum|logical replication|wal|WAL) (?:backend|writer|worker|launcher)"
    r"|walsender|walreceiver|checkpointer|startup|postmaster|archiver|logger|standalone backend|not initialized)(?!\w)"
    r"|(?P<e>(?<![\w.])00000(?![\w.]))"
    r"|(?P<number>(?<![\w.])\d+(?![\w.])|(?<=\s)-\d{6,})"
    r"|(?P<word>(?:\[unknown\]|[^\W\d_][^\s,;|=\[\]():]*)(?: (?:\[unknown\]|[^\W\d_][^\s,;|=\[\]():]*))*)"
    r"|(?P<rest>.)"
)
_MOST_FORMS = 8
_MOST_LINES = 1000
_LARGEST_PROCESS = 1 << 22  # pid_max of Linux
_NUMBER = "\0"  # stands for a number whose meaning is not known yet


def find_prefixes(lines: Iterable[str], words: Words) -> tuple[list[str], list[str]]:
    """Return the prefixes of the lines that begin a record: those of statements, and all others'."""
    pattern = re.compile(rf"(.{{0,300}}?)(?:{words.level}):  ?({words.message})?")
    of_statements: list[str] = []
    others: list[str] = []
    for line in lines:
        if found := pattern.match(line):
            (of_statements if found[2] else others).append(found[1])
            if len(of_statements) + len(others) >= _MOST_LINES:
                break
    return of_statements, others


def guess_prefix(lines: Iterable[str], words: Words) -> str | None:
    """Return the log_line_prefix that fits the most lines, or None when none fits half of those with statements."""
    of_statements, others = find_prefixes(lines, words)
    known = of_statements or others
    if not known:
        return None
    forms = Counter(_form_of(prefix) for prefix in known)
    candidates = [_name_numbers(form, known) for form, _ in forms.most_common(_MOST_FORMS)]
    best = max(candidates, key=lambda candidate: (_count(candidate, known), -len(candidate)))
    if 2 * _count(best, known) < len(known):
        return None
    return best if _count(best, others) == len(others) else _end_early(best, others)


def _count(prefix: str, lines: Sequence[str]) -> int:
    """Return how many prefixes fit."""
    pattern = re.compile(parse_prefix(prefix).pattern)
    return sum(1 for line in lines if pattern.fullmatch(line))


def _form_of(prefix: str) -> str:
    """Return what log_line_prefix may have written this; numbers are left open."""
    form, position, named = "", 0, ""
    while position < len(prefix):
        found = _TOKENS.match(prefix, position)
        if not found:
            break
        kind, position = str(found.lastgroup), found.end()
        if kind == "key":
            form += found[0].replace("%", "%%")
            named = _ESCAPE_OF_KEY.get(found["key"].lower(), "")
            if named:
                position = _end_of_value(prefix, position)
                form += f"%{named}"
        elif kind == "at":
            form += "%u@%d" if "%u" not in form and "%d" not in form else "%a"
        elif kind == "line":
            form += "[%l-1]"
        elif kind == "word":
            form += _name_words(found[0], form)
        elif kind in ("m", "t"):
            form += f"%{kind}" if f"%{kind}" not in form else "%s"
        else:
            form += _NUMBER if kind == "number" else found[0].replace("%", "%%") if kind == "rest" else f"%{kind}"
    return form


def _end_of_value(prefix: str, start: int) -> int:
    """A value of `key=value` ends where the next key begins, or at the last separator."""
    found = re.compile(r"[\s,;|:\])]+(?:[A-Za-z_]+=|[\s,;|:\])\[]*$|\[?\d+\]?\W*$)").search(prefix, start)
    return found.start() if found else len(prefix)


def _name_words(text: str, form: str) -> str:
    """One word is taken for the database, two for user and database, more for an application's name."""
    taken = [name for name in ("u", "d") if f"%{name}" in form]
    count = len(text.split(" "))
    if taken or count > 3:
        return "%a" if "%a" not in form else "%i"
    return {1: "%d", 2: "%u %d", 3: "%u %d %a"}[count]


def _name_numbers(form: str, prefixes: Sequence[str]) -> str:
    """Say which of a form's numbers is the process: it stays from line to line, a line's number grows by one."""
    count = form.count(_NUMBER)
    if not count:
        return form
    pattern = re.compile(parse_prefix(form.replace(_NUMBER, "%Q"), wanted="").pattern.replace(r"(?:-?\d+)", r"(-?\d+)"))
    rows = [tuple(int(each) for each in found.groups()) for line in prefixes if (found := pattern.fullmatch(line))]
    columns = [[row[number] for row in rows] for number in range(count)]
    scores = [_score_as_process(form.split(_NUMBER)[number], column) for number, column in enumerate(columns)]
    process = -1 if "%p" in form or not rows else scores.index(max(scores))
    for number, column in enumerate(columns):
        escape = "%p" if number == process else "%l" if _grows(column) and "%l" not in form else "%Q"
        form = form.replace(_NUMBER, escape, 1)
    return form


def _score_as_process(before: str, values: Sequence[int]) -> float:
    """How likely a column of numbers is the process. `before`: what stands before it."""
    pairs = list(pairwise(values))
    same, grown = sum(1 for a, b in pairs if a == b), sum(1 for a, b in pairs if b == a + 1)
    score = (same - grown) / max(1, len(pairs)) + 0.5 * before.endswith("[")
    return score if all(0 < value <= _LARGEST_PROCESS for value in values) else score - 4


def _grows(values: Sequence[int]) -> bool:
    return any(b == a + 1 for a, b in pairwise(values))


def _end_early(form: str, others: Sequence[str]) -> str:
    """Put `%q` where the lines of background processes end, if they end before the whole form does."""
    places = [found.start() for found in re.finditer(r"(?<!%)%[a-zA-Z]|[A-Za-z_]+=| ", form)][1:]
    options = [f"{form[:place]}%q{form[place:]}" for place in places]
    return max([form, *options], key=lambda option: _count(option, others))
