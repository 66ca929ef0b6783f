"""A plan as a tree: each step with its cost and rows, what costs most marked. No widget in here."""

from collections.abc import Iterator

from dbtui.model.text import format_count
from dbtui.model.top_queries import PlanNode
from dbtui.tui.cells import Line, Span, Tone, dim, line, spread, strong

_LEAST_SHARE = 0.5
_FIGURES = 20


def show_tree(root: PlanNode, width: int) -> list[Line]:
    """Return a plan as lines of so many cells: a step a line, its conditions below it."""
    dearest = _dearest(root)
    header = spread(line(dim("step")), line(dim(f"{'cost':>11}{'rows':>9}")), width)
    return [header, *_branch(root, "", "", width, dearest)]


def own_cost(node: PlanNode) -> float | None:
    """Return what a step costs without the steps below it."""
    if node.cost is None:
        return None
    return max(0.0, node.cost - sum(child.cost or 0.0 for child in node.children))


def _nodes(node: PlanNode) -> Iterator[PlanNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _dearest(root: PlanNode) -> PlanNode | None:
    """The step that takes most of the whole cost, if one does."""
    found = max(_nodes(root), key=lambda node: own_cost(node) or 0.0)
    if not root.cost or len(root.children) == 0:
        return None
    return found if (own_cost(found) or 0.0) >= _LEAST_SHARE * root.cost else None


def _branch(node: PlanNode, first: str, others: str, width: int, dearest: PlanNode | None) -> Iterator[Line]:
    cost = "" if node.cost is None else f"{node.cost:.2f}" if node.cost < 1e6 else format_count(round(node.cost))
    rows = "" if node.rows is None else format_count(round(node.rows))
    is_dearest = node is dearest
    title = strong(node.title) if not is_dearest else Span(f"▲ {node.title}", Tone.WARNING)
    yield spread(line(dim(first), title), line(f"{cost:>11}{rows:>9}"), max(width, _FIGURES + 10))
    below = "│ " if node.children else "  "
    for detail in node.details:
        yield line(dim(f"{others}{below}  {detail}"))
    for place, child in enumerate(node.children, 1):
        is_last = place == len(node.children)
        yield from _branch(child, others + ("└─ " if is_last else "├─ "), others + ("   " if is_last else "│  "),
                           width, dearest)  # fmt: skip
