"""Who holds a server's slots, when there are very many kinds of them."""

from collections.abc import Iterable

from dbtui.model.pools import ServerHolder, ServerState

MOST_HOLDERS = 200
OTHERS = "(others)"


def merge_holders(holders: Iterable[ServerHolder], most: int = MOST_HOLDERS) -> tuple[ServerHolder, ...]:
    """Return the largest `most` as they are and, of the rest, one for each state: every session stays counted once."""
    ranked = sorted(holders, key=lambda each: (-each.count, -each.oldest_seconds))
    rest: dict[ServerState, ServerHolder] = {}
    for holder in ranked[most:]:
        known = rest.get(holder.state)
        rest[holder.state] = ServerHolder(
            application=OTHERS,
            client="",
            user="",
            state=holder.state,
            count=holder.count + (known.count if known else 0),
            oldest_seconds=max(holder.oldest_seconds, known.oldest_seconds if known else 0.0),
        )
    return (*ranked[:most], *rest.values())
