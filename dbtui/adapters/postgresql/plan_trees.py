"""EXPLAIN (FORMAT JSON) of PostgreSQL as a tree.

Names and conditions are put as EXPLAIN's text format puts them; whatever a later version adds is shown by its key.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dbtui.errors import ServerError
from dbtui.model.text import format_untrusted
from dbtui.model.top_queries import PlanNode

#: What the title says, what the costs are, and what says nothing.
_TITLE = frozenset({
    "Node Type", "Plans", "Strategy", "Join Type", "Operation", "Command", "Partial Mode", "Scan Direction",
    "Index Name", "Relation Name", "Schema", "Alias", "Function Name", "CTE Name", "Subplan Name",
    "Parent Relationship", "Startup Cost", "Total Cost", "Plan Rows", "Plan Width", "Parallel Aware", "Async Capable",
    "Custom Plan Provider", "Tuplestore Name", "Table Function Name", "Disabled",
})  # fmt: skip
_STRATEGIES = {"Hashed": "Hash", "Sorted": "Group", "Mixed": "Mixed"}
_OBJECTS = ("Relation Name", "Function Name", "CTE Name", "Tuplestore Name", "Table Function Name")
_WIDTH = 300


def parse_plan(text: str) -> PlanNode:
    """Return the plan in what EXPLAIN (FORMAT JSON) said. Raises ServerError when it is none."""
    try:
        return _read(json.loads(text)[0]["Plan"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ServerError("the server's plan cannot be read", "ask for its text instead") from error


def _read(node: Mapping[str, Any]) -> PlanNode:
    return PlanNode(
        format_untrusted(_title(node), _WIDTH),
        tuple(format_untrusted(line, _WIDTH) for line in _details(node)),
        node.get("Total Cost"),
        node.get("Plan Rows"),
        tuple(_read(child) for child in node.get("Plans", ())),
    )


def _title(node: Mapping[str, Any]) -> str:
    kind = str(node["Node Type"])
    if kind == "Aggregate":
        kind = " ".join(part for part in (node.get("Partial Mode"), _aggregate(node)) if part and part != "Simple")
    elif kind == "ModifyTable":
        kind = str(node.get("Operation", kind))
    elif kind == "SetOp":
        kind = f"{'Hash' if node.get('Strategy') == 'Hashed' else ''}SetOp {node.get('Command', '')}".strip()
    join = node.get("Join Type", "Inner")
    if join != "Inner":
        kind = f"{kind.removesuffix(' Join')} {join} Join"
    if node.get("Parallel Aware"):
        kind = f"Parallel {kind}"
    if node.get("Scan Direction") == "Backward":
        kind += " Backward"
    if name := node.get("Index Name"):
        kind += f" using {name}" if "Relation Name" in node else f" on {name}"
    told = next((str(node[key]) for key in _OBJECTS if key in node), "")
    alias = str(node.get("Alias", ""))
    if told or alias:
        kind += f" on {told or alias}" + (f" {alias}" if told and alias not in ("", told) else "")
    plan = node.get("Subplan Name")
    return f"{plan}: {kind}" if plan else kind


def _aggregate(node: Mapping[str, Any]) -> str:
    strategy = str(node.get("Strategy", "Plain"))
    return {"Plain": "Aggregate", "Sorted": "GroupAggregate"}.get(
        strategy, f"{_STRATEGIES.get(strategy, strategy)}Aggregate"
    )


def _details(node: Mapping[str, Any]) -> Iterator[str]:
    for key, value in node.items():
        if key in _TITLE or value is False or value in (None, "", []):
            continue
        if key == "Inner Unique":
            yield key
        elif isinstance(value, list):
            yield f"{key}: {', '.join(map(str, value))}"
        elif isinstance(value, Mapping):
            yield f"{key}: {', '.join(f'{name} {each}' for name, each in value.items())}"
        else:
            yield f"{key}: {value}"
