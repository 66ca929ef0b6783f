"""Which loader fits a relationship: by what the tables promise, so that no row of the query is lost or cut off."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, Index, Table, UniqueConstraint
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnElement

#: Whether to-one relationships are joined: inner where the tables promise a row, outer always, or not at all.
Joins = Literal["inner", "outer", "none"]


@dataclass(frozen=True, slots=True)
class LoadChoice:
    """A loader of sqlalchemy.orm by its name. `is_inner`: joined with an inner join."""

    loader: Literal["selectinload", "joinedload"]
    is_inner: bool = False

    def format_call(self, attribute: str) -> str:
        """Return the call as it is written: `joinedload(Post.author, innerjoin=True)`."""
        return f"{self.loader}({attribute}{', innerjoin=True' if self.is_inner else ''})"


_SELECTIN = LoadChoice("selectinload")


def choose_load(relationship: RelationshipProperty[Any], joins: Joins = "inner") -> LoadChoice:
    """Return the loader: selectinload for collections, so that several of them or a LIMIT multiply and cut no rows.

    A to-one relationship is joined, if at most one row can be there: with an inner join if exactly one must be, that
    is, the foreign key may not be NULL and is all there is to the join.
    """
    if relationship.uselist or joins == "none":
        return _SELECTIN
    if relationship.direction is RelationshipDirection.MANYTOONE:
        return LoadChoice("joinedload", is_inner=joins == "inner" and _is_required(relationship))
    if relationship.direction is RelationshipDirection.ONETOMANY and _is_unique(relationship):
        return LoadChoice("joinedload")
    return _SELECTIN


def _is_required(relationship: RelationshipProperty[Any]) -> bool:
    target = relationship.mapper
    if (target.single and target.inherits is not None) or relationship.parent.inherits is not None:
        return False  # the row may be of another class, or the owner's table itself joined with an outer join
    return _is_plain(relationship.primaryjoin, len(relationship.local_remote_pairs)) and all(
        isinstance(local, Column) and not local.nullable and any(key.column is remote for key in local.foreign_keys)
        for local, remote in relationship.local_remote_pairs
    )


def _is_plain(join: ColumnElement[Any], pairs: int) -> bool:
    """Whether a join compares so many pairs of columns and nothing else."""
    is_and = isinstance(join, BooleanClauseList) and join.operator is operators.and_
    clauses: list[Any] = list(join.clauses) if is_and and isinstance(join, BooleanClauseList) else [join]
    return len(clauses) == pairs and all(
        isinstance(each, BinaryExpression)
        and each.operator is operators.eq
        and isinstance(each.left, Column)
        and isinstance(each.right, Column)
        for each in clauses
    )


def _is_unique(relationship: RelationshipProperty[Any]) -> bool:
    """Whether the tables let at most one row point to the owner."""
    columns = {remote for _, remote in relationship.local_remote_pairs}
    tables = {column.table for column in columns if isinstance(column, Column)}
    if len(tables) != 1 or not _is_plain(relationship.primaryjoin, len(columns)):
        return False
    table = tables.pop()
    return isinstance(table, Table) and any(set(key) <= columns for key in _unique_keys(table))


def _unique_keys(table: Table) -> list[list[Any]]:
    keys: list[list[Any]] = [list(table.primary_key.columns)]
    keys += [list(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
    keys += [list(each.expressions) for each in table.indexes if each.unique and not _is_partial(each)]
    return [key for key in keys if key]


def _is_partial(index: Index) -> bool:
    return any(options.get("where") is not None for options in index.dialect_options.values())
