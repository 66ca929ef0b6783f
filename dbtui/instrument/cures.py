"""What to write instead of a statement for each object, as it is told in an error or a warning."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper, RelationshipProperty

from dbtui.instrument.load_choices import choose_load
from dbtui.instrument.orm_loads import OrmLoad, name_property


def describe_cure(load: OrmLoad | None) -> tuple[str, ...]:
    """Return lines that say what to write; None for a statement that the application runs itself."""
    if load is None:
        return ("cure: one statement for all of them, .where(column.in_(values)), or a join",)
    if load.kind in ("lazy", "immediate") and load.path:
        return _describe_relationship(load)
    if load.kind == "dynamic" and load.relationships:
        return _describe_dynamic(load.relationships[-1])
    if load.mapper is None:
        return ("cure: load it with the query",)
    owner = load.mapper.class_.__name__
    if load.kind == "column":
        return _describe_path(load.path, f"undefer({load.name})", owner, load.name)
    if load.kind == "polymorphic":
        base = load.mapper.base_mapper.class_.__name__
        return _describe_path(load.path, f"selectin_polymorphic({base}, [{owner}])", base, load.name)
    return (
        "cure: Session(expire_on_commit=False), commit after the loop, or no session.refresh() in it",
        f"or: select({owner}).where({owner}.{_key_of(load.mapper)}.in_(keys)) before it",
    )


def _describe_relationship(load: OrmLoad) -> tuple[str, ...]:
    lines = _describe_path(load.path, "", "", "")
    name = name_property(load.path[-1])
    if load.kind == "immediate":
        lines = (*lines, f"note: immediateload({name}) runs a statement for each object, too")
    return (*lines, f"guard: raiseload({name}), so that it does not come back")


def _describe_path(path: Sequence[RelationshipProperty[Any]], last: str, owner: str, name: str) -> tuple[str, ...]:
    """Return the options for a path and what follows it, `last`, written out and with `eager`.

    `owner`: the class that is selected when there is no path, `name`: of the attribute that follows it.
    """
    calls, is_inner = [], True
    for each in path:
        choice = choose_load(each, "inner" if is_inner else "outer")
        is_inner = choice.is_inner or choice.loader == "selectinload"
        calls.append(choice.format_call(name_property(each)))
    selected = path[0].parent.class_.__name__ if path else owner
    names = [*map(name_property, path), *filter(None, [name])]
    wanted = names[0] if len(names) == 1 else f"({', '.join(names)})"
    return (
        f"cure: select({selected}).options({'.'.join([*calls, *filter(None, [last])])})",
        f"or: select({selected}).options(*eager({wanted})), with eager from dbtui.instrument.loaders",
    )


def _describe_dynamic(relationship: RelationshipProperty[Any]) -> tuple[str, ...]:
    target, key = relationship.mapper.class_.__name__, relationship.local_remote_pairs[0][1].key
    return (
        f"cure: select({target}).where({target}.{key}.in_(ids)) for all owners at once",
        f'or: map {name_property(relationship)} with lazy="select" and load it with selectinload',
    )


def _key_of(mapper: Mapper[Any]) -> str:
    return mapper.get_property_by_column(mapper.primary_key[0]).key
