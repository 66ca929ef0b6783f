"""The lines that lead to the rows of a tree of servers."""

from collections.abc import Sequence


def format_branches(depths: Sequence[int]) -> list[str]:
    """Return the lines that lead to each row of a tree, whose rows are given by their depths."""
    branches = []
    for position, depth in enumerate(depths):
        later = depths[position + 1 :]
        branches.append("".join(_bend(later, level, depth) for level in range(depth + 1)))
    return branches


def _bend(later: Sequence[int], level: int, depth: int) -> str:
    """What stands at one level before a row: whether another branch of that level follows below it."""
    goes_on = False
    for each in later:
        if each <= level:
            goes_on = each == level
            break
    if level == depth:
        return "├ " if goes_on else "└ "
    return "│ " if goes_on else "  "
