"""Indexes of a parent that partitions lack, or that did not get built: built on each alone, then attached."""

from collections.abc import Iterator
from dataclasses import replace

from dbtui.analysis.partitions.naming import fit_name
from dbtui.model.connections import EngineName
from dbtui.model.partitions import Partition, PartitionedTable, PartitionIndex, PartitionStep, StepKind


def indexed_partitions(table: PartitionedTable) -> tuple[Partition, ...]:
    """Return the partitions that could have indexes of their own, and whose indexes are known."""
    is_read = table.are_indexes_read or any(each.indexes for each in table.partitions)
    if table.engine is not EngineName.POSTGRESQL or not is_read:
        return ()
    return tuple(
        each
        for each in table.partitions
        if not (each.is_foreign or each.is_detach_pending or each.strategy is not None)
    )


def missing_indexes(table: PartitionedTable) -> Iterator[tuple[Partition, PartitionIndex]]:
    """Yield partitions with the index of their parent that they lack."""
    partitions = indexed_partitions(table)
    for parent in table.indexes:
        for partition in partitions:
            if not any(each.parent == parent.name for each in partition.indexes):
                yield partition, parent


def invalid_indexes(table: PartitionedTable) -> Iterator[tuple[Partition, PartitionIndex]]:
    """Yield partitions with an index of theirs that did not get built, and is of no use."""
    for partition in indexed_partitions(table):
        for index in partition.indexes:
            if not index.is_valid:
                yield partition, index


def stuck_indexes(table: PartitionedTable) -> Iterator[PartitionIndex]:
    """Yield indexes of the parent that are not valid and never will be: nothing is left to be attached to them.

    PostgreSQL looks whether all partitions have their part when one is attached, and at no other time.
    """
    partitions = indexed_partitions(table)
    for parent in table.indexes:
        if not parent.is_valid and len(partitions) == len(table.partitions) and partitions:
            parts = [each for partition in partitions for each in partition.indexes if each.parent == parent.name]
            if len(parts) == len(partitions) and all(each.is_valid for each in parts):
                yield parent


def word_stuck(table: PartitionedTable, index: PartitionIndex) -> str:
    """Return what to do about an index that never becomes valid."""
    return (
        f"{index.name} of {table.table} is not valid although every partition has its part, and stays so: CREATE INDEX"
        " ON ONLY the table with another name, let the next plan complete it, then drop this one"
    )


def plan_indexes(table: PartitionedTable, leaving: frozenset[str]) -> tuple[list[PartitionStep], list[str]]:
    """Return the steps that complete the parent's indexes, and warnings. `leaving`: names of partitions that go."""
    steps: list[PartitionStep] = []
    warnings = [word_stuck(table, each) for each in stuck_indexes(table)]
    for partition, parent in missing_indexes(table):
        if str(partition.table) not in leaving:
            if parent.is_constraint:
                warnings.append(
                    f"{partition.table} lacks the constraint {parent.name} of its parent: add it by hand, for it cannot"
                    " be built without a long lock"
                )
            else:
                steps += _complete(table, partition, parent)
    for partition, index in invalid_indexes(table):
        parent_index = next((each for each in table.indexes if each.name == index.parent), None)
        if parent_index is not None and str(partition.table) not in leaving:
            steps += _build(table, partition, parent_index, replace(index, definition=parent_index.definition))
    return steps, warnings


def _complete(table: PartitionedTable, partition: Partition, parent: PartitionIndex) -> list[PartitionStep]:
    """One that is as the parent's and belongs to nothing is attached; else it is built, or built again."""
    free = [each for each in partition.indexes if not each.parent and _is_alike(each, parent)]
    ready = next((each for each in free if each.is_valid), None)
    if ready is not None:
        return [_attach(table, partition, parent, ready)]
    broken = next((each for each in free if not each.is_valid), None)
    if broken is not None:
        return _build(table, partition, parent, broken)
    name = _name_index(partition, parent, {each.name for each in partition.indexes})
    built = PartitionIndex(
        name=name, definition=parent.definition, columns=parent.columns, is_unique=parent.is_unique, parent=parent.name
    )
    return _build(table, partition, parent, built)


def _is_alike(index: PartitionIndex, parent: PartitionIndex) -> bool:
    return bool(index.columns) and (_shape(index), index.is_unique, index.is_constraint) == (
        _shape(parent), parent.is_unique, parent.is_constraint,
    )  # fmt: skip


def _shape(index: PartitionIndex) -> tuple[tuple[str, ...], str]:
    """What makes two indexes the same but for their names and tables: columns, and all behind USING."""
    return index.columns, index.definition.partition(" USING ")[2]


def _name_index(partition: Partition, parent: PartitionIndex, taken: set[str]) -> str:
    columns = "_".join(column for column in parent.columns if column.isidentifier()) or "expr"
    ending = "key" if parent.is_unique else "idx"
    number, name = 1, ""
    while not name or name in taken:
        counted = "" if number == 1 else str(number - 1)
        name = fit_name(EngineName.POSTGRESQL, partition.table.name, f"_{columns[:30]}_{ending}{counted}")
        number += 1
    return name


def _build(
    table: PartitionedTable, partition: Partition, parent: PartitionIndex, index: PartitionIndex
) -> list[PartitionStep]:
    why = f"{parent.name} is not complete without it"
    if not index.is_valid:
        why = f"an earlier build of {index.name} did not end, and no query uses it"
    built = replace(index, parent=parent.name, is_valid=True)
    return [
        PartitionStep(
            kind=StepKind.CREATE_INDEX,
            table=table.table,
            partition=partition.table,
            why=why,
            index=replace(index, parent=parent.name),
            identity=partition.identity,
            bytes_estimate=partition.bytes_estimate,
            rows_estimate=partition.rows_estimate,
        ),
        _attach(table, partition, parent, built),
    ]


def _attach(
    table: PartitionedTable, partition: Partition, parent: PartitionIndex, index: PartitionIndex
) -> PartitionStep:
    return PartitionStep(
        kind=StepKind.ATTACH_INDEX,
        table=table.table,
        partition=partition.table,
        why=f"the last one that is attached makes {parent.name} valid",
        index=replace(index, parent=parent.name),
        identity=partition.identity,
    )
