"""Other machines' clocks."""


def measure_skew(told: float, sent: float, received: float) -> float:
    """Return by how much a server's clock is ahead of ours, in seconds; 0 when the round trip may be all of it.

    `told` is what it said it was, in seconds since 1970, when asked between `sent` and `received` by our clock.
    """
    skew = told - (sent + received) / 2
    return 0.0 if abs(skew) <= (received - sent) / 2 else skew
