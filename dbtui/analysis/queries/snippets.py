"""Remedies as code for SQLAlchemy 2: one statement for each class that is read, with its options chained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dbtui.analysis.queries.python_names import is_same_table, values_name
from dbtui.analysis.queries.remedies import Remedy
from dbtui.model.queries import CureKind

KEEP_LOADED = "sessionmaker(engine, expire_on_commit=False)"
_OPTIONS = (CureKind.SELECTIN, CureKind.JOINED, CureKind.PREFETCH, CureKind.UNDEFER)


@dataclass(slots=True)
class _Node:
    remedy: Remedy
    nested: list["_Node"] = field(default_factory=list)


def write_snippet(remedies: Sequence[Remedy]) -> str:
    """Return the code, a statement a line."""
    roots = _nest([remedy for remedy in remedies if remedy.kind in _OPTIONS])
    lists = [remedy for remedy in remedies if remedy.kind is CureKind.IN_LIST]
    lines: list[str] = []
    told: set[str] = set()
    for entity in dict.fromkeys(root.remedy.entity for root in roots):
        mine = [root for root in roots if root.remedy.entity == entity]
        base = next((each for each in lists if each.entity == entity), None)
        statement = f"select({entity})"
        if base is not None:
            statement, told = write_in_list(base), told | {base.entity}
        elif prefetched := next((root.remedy for root in mine if root.remedy.kind is CureKind.PREFETCH), None):
            statement = write_in_list(prefetched)
        lines.append(f"{statement}.options({', '.join(_write_option(root) for root in mine)})")
    lines += [write_in_list(each) for each in lists if each.entity not in told]
    lines += [_write_grouped(each) for each in remedies if each.kind is CureKind.GROUPED]
    lines += [KEEP_LOADED for each in remedies if each.kind is CureKind.KEEP_LOADED]
    return "\n".join(dict.fromkeys(lines))


def is_chained(remedies: Sequence[Remedy]) -> bool:
    """Whether some option is nested in another."""
    options = [remedy for remedy in remedies if remedy.kind in _OPTIONS]
    return len(_nest(options)) < len(options)


def write_guard(remedies: Sequence[Remedy]) -> str:
    """Return the options that raise an error where the relationship, or the column, would be loaded late again."""
    guards = []
    for remedy in remedies:
        if remedy.relation is not None and remedy.kind in _OPTIONS:
            guards.append(f"raiseload({remedy.relation.path})")
        elif remedy.kind is CureKind.UNDEFER:
            guards += [f"defer({remedy.entity}.{column}, raiseload=True)" for column in remedy.columns]
    return ", ".join(dict.fromkeys(guards))


def write_in_list(remedy: Remedy) -> str:
    """Return the statement that looks all values up at once."""
    return f"select({remedy.entity}).where({_in_list(remedy)})"


def _write_grouped(remedy: Remedy) -> str:
    columns = ", ".join(f"{remedy.entity}.{column}" for column in remedy.columns)
    asked = ", ".join((columns, *remedy.functions))
    return f"select({asked}).where({_in_list(remedy)}).group_by({columns})"


def _in_list(remedy: Remedy) -> str:
    columns = [f"{remedy.entity}.{column}" for column in remedy.columns]
    if len(columns) == 1:
        return f"{columns[0]}.in_({values_name(remedy.columns[0])})"
    return f"tuple_({', '.join(columns)}).in_(keys)"


def _nest(remedies: Sequence[Remedy]) -> list[_Node]:
    """Put the option for a class that another option loads under that one."""
    roots: list[_Node] = []
    for remedy in remedies:
        node, above = _Node(remedy), None
        for other in _walk(roots):
            relation = other.remedy.relation
            if relation is not None and relation.target == remedy.entity and _fits(relation.target_table, remedy.table):
                above = other
        if above is not None and not any(root.remedy.entity == remedy.entity for root in roots):
            above.nested.append(node)
        else:
            roots.append(node)
    return roots


def _fits(one: str, other: str) -> bool:
    return not one or not other or is_same_table(one, other)


def _walk(nodes: Iterable[_Node]) -> Iterable[_Node]:
    for node in nodes:
        yield node
        yield from _walk(node.nested)


def _write_option(node: _Node) -> str:
    remedy, relation = node.remedy, node.remedy.relation
    if relation is None and remedy.kind is CureKind.SELECTIN:
        return f"selectin_polymorphic({remedy.entity}, [{', '.join(remedy.columns)}])"
    if relation is None:
        return ", ".join(f"undefer({remedy.entity}.{column})" for column in remedy.columns)
    if remedy.kind is CureKind.JOINED:
        text = f"joinedload({relation.path}{', innerjoin=True' if relation.is_required else ''})"
    else:
        text = f"selectinload({relation.path})"
    nested = [_write_option(each) for each in node.nested]
    if len(nested) == 1 and node.nested[0].remedy.relation is not None:
        return f"{text}.{nested[0]}"
    return f"{text}.options({', '.join(nested)})" if nested else text
