"""What stands in the details of PostgreSQL's statements: parameters, what EXECUTE runs, plans of auto_explain."""

import json
import re

_PARAMETER = re.compile(r"\$\d+ = (?:'((?:[^']|'')*)'?|(\w+))")
_PREPARE = re.compile(r"\s*prepare\s+(?:\"(?:[^\"]|\"\")*\"|[^\s(]+)\s*(?:\([^)]*\))?\s+as\s+", re.IGNORECASE)
_ARGUMENTS = re.compile(r"\s*execute\s+(?:\"(?:[^\"]|\"\")*\"|[^\s(;]+)\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_ARGUMENT = re.compile(r"\s*((?:'(?:[^']|'')*'|\((?:[^()'])*\)|[^,'(])+)")
_TEXT_PLAN = re.compile(
    r"\s*Query Text: (.*?)(?=\n(?:Query Parameters: |Query Identifier: )|\n[A-Z][^\n]*  \(cost=|\Z)", re.DOTALL
)


def parse_parameters(text: str) -> tuple[str | None, ...]:
    """Return the values in `$1 = '5', $2 = NULL`, each as text; None for NULL."""
    return tuple(None if word else value.replace("''", "'") for value, word in _PARAMETER.findall(text))


def parse_prepare(text: str) -> str:
    """Return the statement in `PREPARE name (types) AS statement`."""
    found = _PREPARE.match(text)
    return text[found.end() :] if found else text


def parse_arguments(text: str) -> tuple[str | None, ...]:
    """Return the arguments of `EXECUTE name (a, b)`, as text without their quotes; None for NULL."""
    found = _ARGUMENTS.match(text)
    return tuple(_parse_argument(each.strip()) for each in _ARGUMENT.findall(found[1])) if found else ()


def _parse_argument(text: str) -> str | None:
    if text.upper() == "NULL":
        return None
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text


def parse_plan(text: str) -> tuple[str, int | None]:
    """Return the statement of an auto_explain record, and the rows it returned where it was analyzed.

    The statement is empty in the formats that are not read: XML and YAML.
    """
    if text.lstrip().startswith("{"):
        return _parse_json_plan(text)
    found = _TEXT_PLAN.match(text)
    if not found:
        return "", None
    rest = text[found.end() :]
    root = rest[: rest.find("\n", rest.find("(cost=") + 1) if "(cost=" in rest else len(rest)]
    rows = re.search(r"\(actual (?:time=\S+ )?rows=([\d.]+)", root)
    return found[1], int(float(rows[1])) if rows else None


def _parse_json_plan(text: str) -> tuple[str, int | None]:
    try:
        plan = json.loads(text)
    except ValueError:
        return "", None
    sql = plan.get("Query Text") if isinstance(plan, dict) else None
    root = plan.get("Plan") if isinstance(plan, dict) else None
    rows = root.get("Actual Rows") if isinstance(root, dict) else None
    return sql if isinstance(sql, str) else "", int(rows) if isinstance(rows, int | float) else None
