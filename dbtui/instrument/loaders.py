"""`eager`: the loader options for relationships, chosen for each by what it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import orm
from sqlalchemy.ext.associationproxy import AssociationProxyInstance
from sqlalchemy.orm import ColumnProperty, Mapper, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql.base import ExecutableOption

from dbtui.errors import UsageError
from dbtui.instrument.load_choices import Joins, choose_load
from dbtui.instrument.orm_loads import name_property
from dbtui.model.text import format_untrusted

#: An attribute, or a path of them: each is of the class that the one before it leads to; a list branches.
Wanted = Any

_UNLOADABLE = {"dynamic": "dynamic", "write_only": "write_only"}


@dataclass
class _Node:
    """One attribute of a path, and what is loaded of the objects that it leads to."""

    attribute: QueryableAttribute[Any]
    nodes: dict[Any, "_Node"] = field(default_factory=dict)


def eager(*attributes: Wanted, raise_others: bool = False, joins: Joins = "inner") -> tuple[ExecutableOption, ...]:
    """Return options that load these attributes with the query: `select(User).options(*eager(User.roles, User.org))`.

    Each is a relationship, a deferred column, or a path: `(User.orders, Order.lines)`,
    `(User.orders, [Order.lines, Order.customer])`. Collections are loaded by a query of their own (selectinload), so
    that any number of them, LIMIT and OFFSET are safe. A to-one relationship is joined, by an inner join where its
    foreign key may not be NULL; `joins="outer"` if rows may be missing all the same (foreign keys that are not
    enforced, with_loader_criteria), `joins="none"` for queries with FOR UPDATE. Attributes of a child class also load
    that class's columns. `raise_others`: any other relationship raises an error instead of loading late.

    Raises UsageError, naming the attribute, for what cannot be loaded so.
    """
    if joins not in ("inner", "outer", "none"):
        raise UsageError(f"joins={joins!r} is not known", 'write "inner", "outer" or "none"')
    root: dict[Any, _Node] = {}
    for each in attributes:
        _plant(root, [each])
    options = [option for node in root.values() for option in _build(node, None, joins, is_inner=True)]
    if raise_others:
        options.append(orm.raiseload("*", sql_only=True))
    return tuple(options)


# --- reading what is wanted ----------------------------------------------------------------------------------


def _plant(nodes: dict[Any, _Node], path: Sequence[Wanted]) -> None:
    """Add a path to a tree: paths that begin alike share their beginning."""
    if not path:
        return
    first, rest = path[0], path[1:]
    if isinstance(first, tuple):
        _plant(nodes, [*first, *rest])
        return
    if isinstance(first, list | set | frozenset):
        for each in first:
            _plant(nodes, [each, *rest])
        return
    attribute = _check_attribute(first)
    key = (attribute.parent, attribute.key, getattr(attribute, "_of_type", None))
    node = nodes.setdefault(key, _Node(attribute))
    _plant(node.nodes, rest)


def _check_attribute(given: object) -> QueryableAttribute[Any]:
    """Return an attribute that can be loaded. Raises UsageError."""
    if isinstance(given, AssociationProxyInstance):
        owner, through = given.owning_class, f"{given.owning_class.__name__}.{given.target_collection}"
        named = [name for each in owner.__mro__ for name, value in vars(each).items() if value is given.parent]
        wrong = f"{owner.__name__}.{next(iter(named), given.value_attr)} is an association proxy"
        raise UsageError(wrong, f"name what it goes through: ({through}, ...)")
    if not isinstance(given, QueryableAttribute) or not hasattr(given, "property"):
        shown = given if isinstance(given, str) else getattr(given, "__name__", given)
        wrong = f"{format_untrusted(str(shown), 80)!r} is not an attribute of a mapped class"
        raise UsageError(wrong, "write eager(User.roles), with the class and its relationship")
    found = given.property
    if isinstance(found, RelationshipProperty):
        return _check_relationship(given, found)
    name = f"{given.class_.__name__}.{given.key}"
    if not isinstance(found, ColumnProperty):
        raise UsageError(
            f"{name} is neither a relationship nor a column", "leave it out: it is loaded with its columns"
        )
    if not found.deferred and not _is_of_child(given):
        raise UsageError(f"{name} is a column that is loaded anyway", "leave it out, or name a relationship")
    return given


def _check_relationship(given: QueryableAttribute[Any], found: RelationshipProperty[Any]) -> QueryableAttribute[Any]:
    lazy = str(found.lazy)
    if lazy in _UNLOADABLE:
        wrong = f"{name_property(found)} is lazy={lazy!r}, which no option can load"
        target = found.mapper.class_.__name__
        key = found.local_remote_pairs[0][1].key
        once = f"ask for all owners at once, select({target}).where({target}.{key}.in_(ids))"
        raise UsageError(wrong, f'{once}, or map it with lazy="select"')
    return given


def _is_of_child(attribute: QueryableAttribute[Any]) -> bool:
    """Whether an attribute is declared by a class that inherits from another mapped one."""
    return isinstance(attribute.parent, Mapper) and attribute.property.parent.inherits is not None


# --- building options ----------------------------------------------------------------------------------------


def _build(
    node: _Node, above: QueryableAttribute[Any] | None, joins: Joins, *, is_inner: bool
) -> Iterable[ExecutableOption]:
    """Yield the options for a node below the attribute that leads to it, None for the query's own class.

    `is_inner`: what leads to it is no outer join, behind which an inner one would have to be nested.
    """
    attribute = node.attribute
    if above is not None:
        attribute = _link(above, attribute)
    found = attribute.property
    if _is_of_child(attribute) and (above is None or not _target_of(above).isa(found.parent)):
        base = _base_of(attribute) if above is None else _target_of(above)
        child: Any = attribute.class_
        yield orm.selectin_polymorphic(base.class_, [child])
    if isinstance(found, RelationshipProperty):
        choice = choose_load(found, joins)
        if choice.loader == "selectinload":
            made, is_inner = orm.selectinload(attribute), True
        else:
            is_inner = is_inner and choice.is_inner
            made = orm.joinedload(attribute, innerjoin=is_inner)
        below: Any = (
            option for each in node.nodes.values() for option in _build(each, attribute, joins, is_inner=is_inner)
        )
        yield made.options(*below)
        return
    if node.nodes:
        wanted = next(iter(node.nodes.values())).attribute
        raise UsageError(f"{wanted} cannot follow {attribute}, which is a column", "begin another path with it")
    if found.deferred:
        yield orm.undefer(attribute)


def _link(above: QueryableAttribute[Any], attribute: QueryableAttribute[Any]) -> QueryableAttribute[Any]:
    """Return the attribute as one of the class that `above` leads to. Raises UsageError when it is of another."""
    if not isinstance(attribute.parent, Mapper):
        return attribute  # of an alias: SQLAlchemy judges
    target, owner = _target_of(above), attribute.parent
    if target.isa(attribute.property.parent):
        same: QueryableAttribute[Any] = getattr(target.class_, attribute.key)
        return same if owner is not target and not getattr(attribute, "_of_type", None) else attribute
    if not owner.isa(target):
        wrong = f"{attribute} cannot follow {above}, which leads to {target.class_.__name__}"
        raise UsageError(wrong, f"continue the path with an attribute of {target.class_.__name__}")
    return attribute


def _target_of(attribute: QueryableAttribute[Any]) -> Mapper[Any]:
    """Return the class that a relationship leads to, taking of_type() into account."""
    comparator: Any = attribute.comparator
    mapper: Mapper[Any] = comparator.entity.mapper
    return mapper


def _base_of(attribute: QueryableAttribute[Any]) -> Mapper[Any]:
    return attribute.property.parent.base_mapper
