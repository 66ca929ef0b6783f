"""A name for this process that no other has: neither the one before it with the same number, nor a forked child."""

import os

_RANDOM_BYTES = 3


class _Name:
    """The name, made again in a forked child."""

    text: str

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Take the number and chance of the process that this is now. In containers the number is often the same."""
        self.text = f"{os.getpid()}-{os.urandom(_RANDOM_BYTES).hex()}"


PROCESS = _Name()
os.register_at_fork(after_in_child=PROCESS.renew)
