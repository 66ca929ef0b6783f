"""Which relationship of a mapped class a repeated look-up loads: named by the application, its models, or keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbtui.analysis.queries.python_names import (
    bare_name,
    class_name,
    collection_name,
    is_named_after,
    is_same_table,
    scalar_name,
)
from dbtui.analysis.queries.table_keys import (
    TableKeys,
    infer_key_of_columns,
    infer_keys_to,
    lookups_of,
    read_table,
)
from dbtui.model.queries import ForeignKey, MappedRelation, Shape


@dataclass(frozen=True, slots=True)
class Relation:
    """A relationship as its class writes it: `Post.comments`. `because` says what gave it away, in a clause.

    `is_required`: every owner has exactly one. `alternatives`: others of the owner that load in the same way.
    """

    owner: str
    name: str
    target: str
    owner_table: str
    target_table: str
    is_collection: bool
    is_required: bool = False
    is_guess: bool = True
    because: str = ""
    alternatives: tuple[str, ...] = ()
    is_loadable: bool = True

    @property
    def path(self) -> str:
        """Its name with its class: `Post.comments`."""
        return f"{self.owner}.{self.name}"


@dataclass(frozen=True, slots=True)
class Names:
    """What is known for naming: keys, and the relationships of the application's models."""

    keys: TableKeys
    mapped: Sequence[MappedRelation] = ()

    def class_of(self, table: str) -> str:
        """Return the class that is mapped to a table; a guess where the models do not say."""
        for relation in self.mapped:
            if is_same_table(relation.owner_table, table):
                return relation.owner
            if relation.target and is_same_table(relation.target_table, table):
                return relation.target
        return class_name(table)

    def knows_class_of(self, table: str) -> bool:
        """Whether the models say which class is mapped to a table."""
        return any(
            is_same_table(each, table)
            for relation in self.mapped
            for each in (relation.owner_table, relation.target_table)
            if each
        )


def is_value_first(shape: Shape) -> bool:
    """Whether a shape looks up as SQLAlchemy's lazy loads of collections do: `? = comment.post_id`."""
    return any(lookup.is_value_first for lookup in shape.lookups)


def find_relation(names: Names, child: Shape, owners: Sequence[str], parent: Shape | None) -> Relation | None:
    """Return the relationship that a child loads, or None when it shows none.

    `owners`: tables whose rows may have been gone through, the likeliest first. Models are believed before keys.
    """
    if not child.tables or not child.lookups:
        return None
    return _by_models(names, child, owners) or _by_keys(names, child, owners, parent)


def name_recorded(names: Names, child: Shape, recorded: str, owners: Sequence[str]) -> Relation | None:
    """Return the relationship that the application's recorder named `Owner.name`."""
    owner, _, name = recorded.partition(".")
    for mapped in names.mapped:
        if (mapped.owner, mapped.name) == (owner, name) and mapped.target:
            return _from_mapped(mapped, (), "the application named it")
    target_table = read_table(child)
    of_owner = [table for table in owners if names.class_of(table) == owner]
    found = _by_keys(names, child, of_owner, None) if of_owner else _by_keys(names, child, owners, None)
    return Relation(
        owner=owner,
        name=name,
        target=names.class_of(target_table),
        owner_table=next(iter((*of_owner, *owners)), ""),
        target_table=target_table,
        is_collection=found.is_collection if found is not None else is_value_first(child),
        is_required=found is not None and found.owner == owner and _is_required(names, found, name),
        is_guess=False,
        because="the application named it",
    )


def _is_required(names: Names, found: Relation, name: str) -> bool:
    """Whether a relationship called so is required: by the key that is named as it is, else if all of them are."""
    keys = names.keys.keys_to(found.target_table, names.keys.primary_key(found.target_table), [found.owner_table])
    named = [key.is_required for key in keys if scalar_name(key.columns, found.target_table) == name]
    return not found.is_collection and (named[0] if named else found.is_required)


# ---------------------------------------------------------------- models


def _by_models(names: Names, child: Shape, owners: Sequence[str]) -> Relation | None:
    target, found = read_table(child), lookups_of(child)
    columns = {lookup.column.casefold() for lookup in found}
    looked_in = {bare_name(lookup.table).casefold() for lookup in found}
    fitting = []
    for mapped in names.mapped:
        if not mapped.target or not is_same_table(mapped.target_table, target):
            continue
        if not mapped.columns or not {column.casefold() for column in mapped.columns} <= columns:
            continue
        if mapped.secondary and bare_name(mapped.secondary).casefold() not in looked_in:
            continue
        rank = next((at for at, each in enumerate(owners) if is_same_table(each, mapped.owner_table)), len(owners))
        if rank < len(owners) or mapped.is_collection:
            fitting.append((rank, mapped))
    if not fitting:
        return None
    best = min(rank for rank, _mapped in fitting)
    same = [mapped for rank, mapped in fitting if rank == best]
    others = tuple(f"{mapped.owner}.{mapped.name}" for mapped in same[1:])
    return _from_mapped(same[0], others, "the models have it on this key")


def _from_mapped(mapped: MappedRelation, others: tuple[str, ...], because: str) -> Relation:
    return Relation(
        owner=mapped.owner,
        name=mapped.name,
        target=mapped.target,
        owner_table=mapped.owner_table,
        target_table=mapped.target_table,
        is_collection=mapped.is_collection,
        is_required=mapped.is_required,
        is_guess=bool(others),
        because=because,
        alternatives=others,
        is_loadable=mapped.is_loadable,
    )


# ---------------------------------------------------------------- keys and the pattern on the wire


def _by_keys(names: Names, child: Shape, owners: Sequence[str], parent: Shape | None) -> Relation | None:
    target, found = read_table(child), lookups_of(child)
    if not found:
        return None
    looked_in = found[0].table
    columns = [lookup.column for lookup in found if is_same_table(lookup.table, looked_in)]
    if names.keys.is_by_primary_key(looked_in, columns):
        # A subclass with a table of its own is joined to its base's by the key that both have.
        joined = [table for table in child.tables if not is_same_table(table, looked_in)]
        for table in (looked_in, *(each for each in joined if names.keys.is_by_primary_key(each, columns))):
            if (relation := _to_one(names, table, columns, owners, parent)) is not None:
                return relation
        if not is_value_first(child):
            return None
    if not is_same_table(looked_in, target):
        return _through_secondary(names, target, looked_in, columns, owners)
    return _to_rows(names, child, target, columns, owners)


def _through_secondary(
    names: Names, target: str, secondary: str, columns: Sequence[str], owners: Sequence[str]
) -> Relation | None:
    """A look-up in a table between two: many-to-many."""
    key = names.keys.key_of_columns(secondary, columns, owners)
    inferred = key or infer_key_of_columns(names.keys, secondary, columns, owners)
    owner_table = inferred.parent if inferred else next(iter(owners), "")
    if not owner_table:
        return None
    return Relation(
        owner=names.class_of(owner_table),
        name=collection_name(target, owner_table),
        target=names.class_of(target),
        owner_table=owner_table,
        target_table=target,
        is_collection=True,
        because=_because(key, f"rows of {bare_name(target)} are looked up through {bare_name(secondary)}"),
    )


def _to_rows(names: Names, child: Shape, target: str, columns: Sequence[str], owners: Sequence[str]) -> Relation | None:
    """A look-up by a foreign key of the rows themselves: one-to-many, or one-to-one when the key is unique."""
    key = names.keys.key_of_columns(target, columns, owners)
    inferred = key or infer_key_of_columns(names.keys, target, columns, owners)
    if inferred is None and is_value_first(child) and owners:
        inferred = ForeignKey(target, tuple(columns), owners[0], names.keys.primary_key(owners[0]))
    if inferred is None:
        return None
    name = collection_name(target, inferred.parent, inferred.columns, is_many=not inferred.is_unique)
    several = [
        each for each in names.keys.keys_from(target) if is_same_table(each.parent, inferred.parent) and each != key
    ]
    if key and several:  # messages by sender, messages by recipient
        name = f"{scalar_name(key.columns, '')}_{name}"
    shape = "with the value first, as a lazy load is" if is_value_first(child) else "for one owner at a time"
    return Relation(
        owner=names.class_of(inferred.parent),
        name=name,
        target=names.class_of(target),
        owner_table=inferred.parent,
        target_table=target,
        is_collection=not inferred.is_unique,
        because=_because(key, f"the look-up by {bare_name(target)}.{columns[0]} is {shape}"
                         if is_value_first(child) else f"{bare_name(target)}.{columns[0]} is looked up {shape}"),
    )  # fmt: skip


def _to_one(
    names: Names, target: str, columns: Sequence[str], owners: Sequence[str], parent: Shape | None
) -> Relation | None:
    """A look-up by primary key, for a foreign key that the parent's rows hold: many-to-one."""
    found = names.keys.keys_to(target, columns, owners)
    held = found or (infer_keys_to(names.keys, target, parent) if parent is not None else ())
    if not held:
        return None
    # Of an author and an editor, who are both authors, the author is the likelier one.
    first = held[0].table
    held = tuple(
        sorted(
            held,
            key=lambda each: (
                not is_same_table(each.table, first),
                not is_named_after(each.columns[0], target),
                not each.is_required,
            ),
        )
    )
    key = held[0]
    others = tuple(f"{names.class_of(each.table)}.{scalar_name(each.columns, target)}" for each in held[1:])
    return Relation(
        owner=names.class_of(key.table),
        name=scalar_name(key.columns, target),
        target=names.class_of(target),
        owner_table=key.table,
        target_table=target,
        is_collection=False,
        is_required=all(each.is_required for each in held if is_same_table(each.table, key.table)),
        because=_because(key if found else None, f"{bare_name(target)} is looked up by its primary key"),
        alternatives=others,
    )


def _because(key: ForeignKey | None, otherwise: str) -> str:
    if key is None:
        return otherwise
    columns, parents = ", ".join(key.columns), ", ".join(key.parent_columns)
    return f"foreign key {bare_name(key.table)}.{columns} to {bare_name(key.parent)}.{parents}; {otherwise}"
