"""What an application says of itself in a statement's comment: sqlcommenter's pairs, and marginalia's."""

import re
from typing import NamedTuple
from urllib.parse import unquote

#: A key begins where a word does, and is not tried again from within it: prose of any length is passed in one go.
_PAIR = re.compile(
    r"(?<![\w.\-])([A-Za-z_][\w.\-]*+)\s*+(?:=\s*'((?:[^'\\]|\\.)*)'|=\s*\"([^\"]*)\"|=\s*([^,\s'\"]+)|:\s*([^,]+))"
)
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_MOST_READ = 4_000
_SCOPES = ("trace_id", "traceid", "request_id", "requestid", "trace-id", "request-id")


class Tags(NamedTuple):
    """`scope`: a trace's or request's id, "" when there is none; `route`: where in the application it came from."""

    scope: str = ""
    route: str = ""


NO_TAGS = Tags()


def parse_tags(comment: str) -> Tags:
    """Read the pairs of a comment's text; what is no pair is passed over."""
    pairs: dict[str, str] = {}
    for key, quoted, double, bare, marginal in _PAIR.findall(comment[:_MOST_READ]):
        value = quoted or double or bare or marginal.strip()
        pairs.setdefault(key.lower(), unquote(value.replace("\\'", "'")))
    if not pairs:
        return NO_TAGS
    trace = _TRACE.fullmatch(pairs.get("traceparent", "").lower())
    scope = trace[1] if trace else next((pairs[key] for key in _SCOPES if pairs.get(key)), "")
    return Tags(scope, _route_of(pairs))


def _route_of(pairs: dict[str, str]) -> str:
    if route := pairs.get("route"):
        return route
    controller, action = pairs.get("controller_with_namespace") or pairs.get("controller", ""), pairs.get("action", "")
    if controller:
        return f"{controller}#{action}" if action else controller
    return pairs.get("job", "") or pairs.get("job_tag", "")
