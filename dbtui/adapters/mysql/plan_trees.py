"""EXPLAIN FORMAT=JSON of MariaDB and of MySQL, whose two formats both are read, as a tree.

The servers nest steps under keys of their own making; one that is not known here is shown by its key.
"""

import json
from collections.abc import Iterator
from typing import Any

from dbtui.errors import ServerError
from dbtui.model.text import format_untrusted
from dbtui.model.top_queries import PlanNode

_WIDTH = 300
#: What a step that reads a table is called, by its access_type (MySQL's manual, "EXPLAIN Join Types").
_ACCESS = {
    "ALL": "Full scan", "index": "Full index scan", "range": "Range scan", "index_merge": "Index merge",
    "ref": "Index lookup", "eq_ref": "Unique lookup", "const": "Constant row", "system": "Constant row",
    "ref_or_null": "Index lookup, or NULL", "fulltext": "Full-text lookup", "unique_subquery": "Unique lookup",
    "index_subquery": "Index lookup",
}  # fmt: skip
_STEPS = {
    "nested_loop": "Nested loop", "filesort": "Sort", "temporary_table": "Temporary table",
    "block-nl-join": "Block join", "ordering_operation": "Order", "grouping_operation": "Group",
    "duplicates_removal": "Remove duplicates",
    "union_result": "Union", "materialized": "Materialise", "materialization": "Materialise",
    "materialized_from_subquery": "Materialise", "windowing": "Window functions", "read_sorted_file": "Read sorted",
    "window_functions_computation": "Window functions", "buffer_result": "Buffer", "expression_cache": "Cache",
}  # fmt: skip
_ROWS = ("rows", "rows_examined_per_scan", "estimated_rows")
_COSTS = ("prefix_cost", "query_cost", "cost", "estimated_total_cost")
_SAID = frozenset({
    "table_name", "access_type", "key", "key_length", "used_columns", "select_id", "rows_produced_per_join", "update",
    "delete", "insert", "operation", "loops", "inputs", "cost_info", "query", "json_schema_version", "query_type",
    "used_partitions", "schema_name", "alias", "index_name", "estimated_first_row_cost", "r_loops", *_ROWS, *_COSTS,
})  # fmt: skip


class _Pairs(tuple[tuple[str, Any], ...]):
    """An object of JSON: older servers have a key several times in one."""

    __slots__ = ()

    def find(self, *keys: str) -> Any:
        return next((value for key in keys for name, value in self if name == key), None)


def parse_plan(text: str) -> PlanNode:
    """Return the plan in what EXPLAIN FORMAT=JSON said. Raises ServerError when it is none."""
    try:
        said = json.loads(text, object_pairs_hook=_Pairs)
        nodes = list(_read_object(said))
        return nodes[0] if len(nodes) == 1 else PlanNode("Plan", children=tuple(nodes))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ServerError("the server's plan cannot be read", "ask for its text instead") from error


def _read_object(said: _Pairs) -> Iterator[PlanNode]:
    """Yield the steps in an object that is no step itself."""
    if said.find("operation") is not None and said.find(*_COSTS, "estimated_rows", "inputs") is not None:
        yield _read_operation(said)
        return
    for key, value in said:
        if isinstance(value, _Pairs):
            yield from _read_object(value) if key == "query_plan" else (_read_step(key, value),)
        elif isinstance(value, list) and any(isinstance(each, _Pairs) for each in value):
            yield _read_list(key, value)


def _read_step(key: str, said: _Pairs) -> PlanNode:
    children = tuple(node for name, value in said if name != "cost_info" for node in _below(name, value))
    title = _name_table(said) if key == "table" else _name_step(key, said)
    costs = said.find("cost_info")
    cost = _number(costs.find(*_COSTS)) if isinstance(costs, _Pairs) else _number(said.find(*_COSTS))
    return PlanNode(format_untrusted(title, _WIDTH), tuple(_details(said)), cost, _number(said.find(*_ROWS)), children)


def _read_list(key: str, said: list[Any]) -> PlanNode:
    children = tuple(node for each in said if isinstance(each, _Pairs) for node in _read_object(each))
    if key in ("nested_loop", "inputs", "query_specifications") and len(children) == 1:
        return children[0]
    return PlanNode(_name_step(key, _Pairs()), children=children)


def _below(key: str, value: Any) -> Iterator[PlanNode]:
    if isinstance(value, _Pairs):
        yield _read_step(key, value)
    elif isinstance(value, list) and any(isinstance(each, _Pairs) for each in value):
        node = _read_list(key, value)
        yield from node.children if key == "query_specifications" and node.children else (node,)


def _read_operation(said: _Pairs) -> PlanNode:
    """A step of MySQL's second format, which words it by itself."""
    children = tuple(
        node for each in said.find("inputs") or () if isinstance(each, _Pairs) for node in _read_object(each)
    )
    title = format_untrusted(str(said.find("operation")), _WIDTH)
    return PlanNode(title, (), _number(said.find(*_COSTS)), _number(said.find(*_ROWS)), children)


def _name_table(said: _Pairs) -> str:
    if said.find("table_name") is None:
        return str(said.find("message") or "No table")
    access, index = str(said.find("access_type") or ""), said.find("key")
    title = f"{_ACCESS.get(access, access or 'Read')} on {said.find('table_name')}"
    title += f" using {index}" if index else ""
    for change in ("update", "delete", "insert"):
        if said.find(change):
            return f"{change.capitalize()}: {title[0].lower()}{title[1:]}"
    return title


def _name_step(key: str, said: _Pairs) -> str:
    name = _STEPS.get(key) or key.replace("_", " ").replace("-", " ").capitalize()
    number = said.find("select_id")
    return f"{name} {number}" if number is not None else name


def _details(said: _Pairs) -> Iterator[str]:
    for key, value in said:
        is_dull = value in (None, "", False) or (key == "filtered" and _number(value) == 100) or key == "message"
        if key in _SAID or is_dull or isinstance(value, _Pairs):
            continue
        name = key.replace("_", " ").capitalize()
        if isinstance(value, list):
            if not any(isinstance(each, _Pairs) for each in value):
                yield format_untrusted(f"{name}: {', '.join(map(str, value))}", _WIDTH)
        else:
            yield format_untrusted(name if value is True else f"{name}: {value}", _WIDTH)


def _number(value: Any) -> float | None:
    """MySQL has costs as texts."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
