"""When a pool is called full: thresholds, and gates that do not flicker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Every number by which the ladder is judged. Utilisations are fractions of the effective capacity."""

    warn_utilisation: float = 0.70
    warn_seconds: float = 30.0
    high_utilisation: float = 0.85
    high_seconds: float = 10.0
    #: Full, and somebody waits in so many of so many looks: one look with a waiting client is noise.
    waiting_looks: int = 3
    of_looks: int = 5
    looks_seconds: float = 5.0
    #: Full, and somebody has waited for so long: at once.
    oldest_wait_seconds: float = 1.0
    #: A level ends when the utilisation has been so much below its beginning for so long.
    margin: float = 0.05
    clear_seconds: float = 5.0
    #: A timeout or a refusal is an emergency for so long.
    emergency_seconds: float = 10.0
    #: A look of a tier older than this is not judged any more (or two and a half intervals).
    stale_seconds: float = 5.0
    #: Rates are over so long, identities are checked over so long.
    rates_seconds: float = 5.0
    checks_seconds: float = 12.0
    #: So much of a pool idles in transactions or waits for locks, and the oldest for so long: it is clogged.
    clogged_fraction: float = 0.5
    clogged_seconds: float = 1.0
    #: PgBouncer has had no server for so long, and says that it is not paused.
    unreachable_seconds: float = 3.0
    #: Of one core, for the PgBouncer process, which has only one.
    pooler_cpu: float = 0.90
    #: Of all cores, for the machine.
    host_cpu: float = 0.90
    #: How full a pool should be; recommendations aim at it.
    target_utilisation: float = 0.75
    projection_seconds: float = 15.0
    projection_samples: int = 8
    projection_longest_seconds: float = 120.0
    projection_agreement: float = 0.30
    projection_from: float = 0.50
    projection_to: float = 0.90


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class Gate:
    """A yes that has to last before it is believed, and a no likewise. `since`: when the other was first seen."""

    is_on: bool = False
    since: float | None = None


CLOSED, OPEN = Gate(), Gate(is_on=True)


def turn_gate(
    gate: Gate, now: float, *, begins: bool, continues: bool, on_after: float = 0.0, off_after: float = 0.0
) -> Gate:
    """Return the gate after a look at `now` (seconds).

    It opens when `begins` was seen, and `continues` ever since, for `on_after` seconds; it closes when `continues`
    was not seen for `off_after` seconds.
    """
    if gate.is_on:
        if continues:
            return OPEN
        since = now if gate.since is None else gate.since
        return CLOSED if now - since >= off_after else Gate(is_on=True, since=since)
    if not (begins or (gate.since is not None and continues)):
        return CLOSED
    since = now if gate.since is None else gate.since
    return OPEN if now - since >= on_after else Gate(since=since)
