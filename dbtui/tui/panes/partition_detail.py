"""All about one row of a tree: a partition, a gap, or a table that was a partition. No widget in here."""

from collections.abc import Iterator

from dbtui.analysis.partition_trees import SIGNS, bytes_of, rows_of
from dbtui.analysis.partition_words import format_bound
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    DetachedPartition,
    Partition,
    PartitionedTable,
    PartitionFinding,
    PartitionIndex,
    PartitionLevel,
)
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.ages import format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.panes.partition_tree import TONES, Node, age_of, ends_of, leaves_of
from dbtui.tui.spoken_keys import speak_keys


def show_node(node: Node) -> list[Line]:
    """Return the lines about a row."""
    if node.partition is not None:
        return list(_partition(node, node.partition))
    if node.detached is not None:
        return list(_detached(node.detached))
    return list(_gap(node))


def _partition(node: Node, partition: Partition) -> Iterator[Line]:
    table = node.facts.table
    findings = _findings(node, partition)
    yield line(strong(str(partition.table)))
    yield BLANK
    yield fact("bounds", format_bound(partition.bound, partition.bound_text))
    yield fact("size", *_size(node, partition))
    rows = rows_of(partition)
    yield fact("rows", dim("not known") if rows is None else f"about {format_count(rows)}")
    if partition.is_default and table.default_rows is not None:
        yield fact("", f"{format_count(table.default_rows)} counted, of no other partition")
    if (age := _age(node)) is not None:
        yield age
    if partition.partitions:
        leaves = sum(1 for _ in leaves_of(partition))
        by = partition.strategy.value if partition.strategy is not None else ""
        yield fact("divided", f"by {by} into {len(partition.partitions)}", dim(f"  {leaves} hold rows"))
    elif partition.strategy is not None:
        yield fact("divided", f"by {partition.strategy.value}", dim("  its parts are added up here"))
    if partition.is_foreign:
        yield fact("foreign", "its rows are on another server")
    for finding in findings:
        yield line(Span(f"{SIGNS[finding.level]} ", TONES[finding.level]), finding.sentence)
    yield from _indexes(node, partition)
    yield BLANK
    yield line(strong("Definition"))
    yield line("  ", *_definition(table, partition))


def _findings(node: Node, partition: Partition) -> list[PartitionFinding]:
    names = (str(partition.table), partition.table.name)
    return [each for each in node.facts.judged.assessment.findings if each.partition in names]


def _size(node: Node, partition: Partition) -> Iterator[Span]:
    size = format_bytes(bytes_of(partition, node.facts.exact))
    if node.facts.is_measured(partition):
        yield Span(size)
        yield dim("  measured, with indexes")
    else:
        yield Span(f"about {size}")
        yield dim(speak_keys("  by its pages; {partitions.sizes} measures"))


def _age(node: Node) -> Line | None:
    ends, age = ends_of(node), age_of(node)
    if ends is None:
        return None
    due = node.name in node.facts.judged.assessment.due
    policy = node.facts.judged.assessment.policy
    past = Span(f"  past retention ({policy.retention})", Tone.WARNING) if due and policy is not None else Span("")
    if age == "now":
        return fact("age", "takes the rows of now", dim(f"  until {format_time(ends[1])}"))
    if age.startswith("in "):
        return fact("age", f"begins {age}", dim(f"  {format_time(ends[0])}"))
    return fact("age", f"ended {age} ago", past, dim(f"  {format_time(ends[1])}"))


def _indexes(node: Node, partition: Partition) -> Iterator[Line]:
    table = node.facts.table
    if table.engine is not EngineName.POSTGRESQL or not node.facts.judged.is_whole:
        return
    lacking = [] if partition.partitions or partition.strategy else [
        each for each in table.indexes if not any(own.parent == each.name for own in partition.indexes)
    ]  # fmt: skip
    is_known = table.are_indexes_read or bool(table.indexes)
    if not is_known or not (table.indexes or partition.indexes):
        return
    yield BLANK
    yield line(strong("Indexes"))
    for index in partition.indexes:
        yield _index(index)
    for index in lacking if partition in table.partitions else ():
        yield line("  ", Span("▲ ", Tone.WARNING), index.name, dim("  of the parent: missing here"))


def _index(index: PartitionIndex) -> Line:
    words = [each for each, is_so in (("unique", index.is_unique), ("constraint", index.is_constraint)) if is_so]
    told = f"  {', '.join(words)}" if words else ""
    if not index.is_valid:
        return line(
            "  ", Span("✖ ", Tone.TROUBLE), index.name, Span("  did not get built: no query uses it", Tone.TROUBLE)
        )
    attached = f"  as {index.parent}" if index.parent else f"  {index.definition}"
    return line("  ", Span("● ", Tone.OK), index.name, dim(f"{told}{attached}"))


def _definition(table: PartitionedTable, partition: Partition) -> Iterator[Span]:
    if table.engine is EngineName.MYSQL:
        yield dim(f"PARTITION {partition.table.name} {partition.bound_text}")
    else:
        yield dim(f"PARTITION OF {table.table} {partition.bound_text}")


def _detached(detached: DetachedPartition) -> Iterator[Line]:
    yield line(strong(str(detached.table)))
    yield BLANK
    yield fact("was", f"a partition of {detached.parent}")
    yield fact("bounds", format_bound(detached.bound, detached.bound_text))
    if detached.detached_at is not None:
        yield fact("detached", format_time(detached.detached_at))
    if detached.rows_estimate is not None:
        yield fact("rows", f"about {format_count(detached.rows_estimate)}")
    if detached.archive:
        yield fact("archive", strong(detached.archive), dim("  a backup; it is proven again before the drop"))
    else:
        yield fact("archive", dim("none yet"))
    yield BLANK
    yield line("It is a table of its own now: it waits for the end of its grace, or to be attached again by hand:")
    yield line("  ", dim(f"ATTACH PARTITION {detached.table} {detached.bound_text}"))


def _gap(node: Node) -> Iterator[Line]:
    table = node.facts.table
    is_last = node.marks[0].level is PartitionLevel.TROUBLE
    yield line(Span("No partition here", Tone.TROUBLE))
    yield BLANK
    yield fact("bounds", node.bounds)
    takes = "go to the default partition" if table.default is not None else "cannot be written"
    yield warning(f"rows of this range {takes}")
    if is_last:
        yield warning("the last partition has ended: this is where rows of now would go")
    yield BLANK
    yield line(dim(speak_keys("{partitions.plan} plans what fills it")))
