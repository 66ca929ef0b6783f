"""The advice in the words of Django and of Rails, for statements that only they write.

Both quote every name, however plain: SQLAlchemy quotes those that need it. Rails asks for `"posts".*`, Django names
each column; whatever is not clearly one of them is not told apart here.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from dbtui.analysis.queries.python_names import (
    bare_name,
    class_name,
    is_same_table,
    plural,
    scalar_name,
    singular,
    values_name,
    words_of,
)
from dbtui.analysis.queries.relations import Relation
from dbtui.analysis.queries.remedies import Remedy
from dbtui.analysis.queries.select_lists import parse_select_list
from dbtui.model.queries import CureKind

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*|\*")
_LIMIT_ONE = re.compile(r"(?i)\bLIMIT\s+(?:1|\$\d+|\?)\s*$")
_LIMIT_21 = re.compile(r"(?i)\bLIMIT\s+21\s*$")


class Framework(StrEnum):
    """Who wrote a statement."""

    DJANGO = "Django"
    RAILS = "Rails"


def recognise_framework(samples: Sequence[str]) -> Framework | None:
    """Return whose statements these are; None when they may be SQLAlchemy's, or anybody's."""
    found = {_recognise(sample) for sample in samples}
    return found.pop() if len(found) == 1 else None


def _recognise(sql: str) -> Framework | None:
    if "` . `" in sql:  # a digest's text, in which the server quotes every name
        return None
    sql = sql.split("/*")[0].rstrip("; \n") if sql.rstrip().endswith("*/") else sql.rstrip("; \n")
    items = parse_select_list(sql)
    columns = [item for item in items if item.column]
    if columns and all(item.is_quoted and _PLAIN.fullmatch(item.column) and _PLAIN.fullmatch(item.table)
                       for item in columns):  # fmt: skip
        if any(item.column == "*" for item in columns):
            return Framework.RAILS if len(columns) == 1 else None
        if _LIMIT_ONE.search(sql) and not _LIMIT_21.search(sql):
            return Framework.RAILS
        return Framework.DJANGO
    if not columns and re.search(r"""(?i)^SELECT COUNT\(.*\) AS ["`]__count["`]""", sql):
        return Framework.DJANGO
    is_rails_count = not columns and re.search(r"""(?i)^SELECT COUNT\(.*\) FROM ["`]\w+["`] WHERE ["`]\w+["`]\.""", sql)
    return Framework.RAILS if is_rails_count else None


def write_for(framework: Framework, remedies: Sequence[Remedy]) -> str:
    """Return the code in a framework's words, a statement a line; names are guesses.

    Rows that are looked up by their foreign key are a relationship there: both write that column first.
    """
    write = _write_django if framework is Framework.DJANGO else _write_rails
    chained = _chains(remedies)
    lines = [write(remedy, chained.get(remedy, ())) for remedy in remedies if remedy not in _nested(chained)]
    return "\n".join(dict.fromkeys(line for line in lines if line))


def _chains(remedies: Sequence[Remedy]) -> dict[Remedy, tuple[Remedy, ...]]:
    """Which remedies go through the relationship of another one."""
    return {
        above: tuple(
            below
            for below in remedies
            if below.relation and below is not above and is_same_table(above.relation.target_table, below.table)
        )
        for above in remedies
        if above.relation is not None
    }


def _nested(chained: dict[Remedy, tuple[Remedy, ...]]) -> set[Remedy]:
    return {below for each in chained.values() for below in each}


# ---------------------------------------------------------------- Django


def _write_django(remedy: Remedy, below: Sequence[Remedy]) -> str:
    model, relation = _django_model(remedy.table), remedy.relation
    keys = ", ".join(remedy.columns)
    if remedy.kind is CureKind.IN_LIST:
        is_key = keys in ("id", "pk")
        return f"{model}.objects.in_bulk(ids)" if is_key else f"{model}.objects.filter({remedy.columns[0]}__in=keys)"
    if remedy.kind is CureKind.GROUPED:
        return f'{model}.objects.filter({remedy.columns[0]}__in=keys).values("{keys}").annotate(n=Count("pk"))'
    if remedy.kind is CureKind.UNDEFER:
        return f"{model}.objects.all()  # without only() and defer(): they leave out {keys}"
    if relation is None:
        return ""
    paths = [_django_name(relation)] if not below else []
    paths += [f"{_django_name(relation)}__{_django_name(each.relation)}" for each in below if each.relation]
    is_joined = not relation.is_collection and all(each.relation and not each.relation.is_collection for each in below)
    words = ", ".join(f'"{path}"' for path in paths)
    return f"{model}.objects.{'select_related' if is_joined else 'prefetch_related'}({words})"


def _django_model(table: str) -> str:
    """`blog_post` is Post of the application blog."""
    words = words_of(table)
    return class_name("_".join(words[1:]) if len(words) > 1 else words[0])


def _django_name(relation: Relation) -> str:
    if relation.is_collection:
        return f"{_django_model(relation.target_table).lower()}_set"
    return relation.name


# ---------------------------------------------------------------- Rails


def _write_rails(remedy: Remedy, below: Sequence[Remedy]) -> str:
    model, relation = class_name(remedy.table), remedy.relation
    key = remedy.columns[0] if remedy.columns else "id"
    values = values_name(key)
    if remedy.kind is CureKind.IN_LIST:
        return f"{model}.where({key}: {values})"
    if remedy.kind is CureKind.GROUPED:
        return f"{model}.where({key}: {values}).group(:{key}).count"
    if relation is None:
        return ""
    nested = [f":{_rails_name(each.relation)}" for each in below if each.relation]
    if not nested:
        return f"{model}.includes(:{_rails_name(relation)})"
    inner = nested[0] if len(nested) == 1 else f"[{', '.join(nested)}]"
    return f"{model}.includes({_rails_name(relation)}: {inner})"


def _rails_name(relation: Relation) -> str:
    name = bare_name(relation.target_table).lower()
    if relation.is_collection:
        return plural(name)
    return relation.name or scalar_name((), singular(name))
