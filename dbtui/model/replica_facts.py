"""What is known before a replica is added: of the server that is copied, and of the place where the copy will be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What the source says. `limits`: (used, most) of its WAL senders and slots.

    `replication_problem`: why a connection for replication, which was tried, was refused.
    `kept_bytes`: what a slot may keep at most (max_slot_wal_keep_size), None: without limit.
    `outside_files`: its configuration files that are not in its data directory, and so are not copied.
    `is_tunnelled`: it is reached at a loopback address, and is not on this machine.
    """

    address: str = ""
    login: str = ""
    system: str = ""
    is_replica: bool = False
    is_pooled: bool = False
    wal_level: str = "replica"
    senders: tuple[int, int] = (0, 0)
    slots: tuple[int, int] = (0, 0)
    slot_names: tuple[str, ...] = ()
    replica_names: tuple[str, ...] = ()
    synchronous_names: str = ""
    may_replicate: bool = True
    replication_problem: str = ""
    size_bytes: int | None = None
    kept_bytes: int | None = None
    has_full_pages: bool = True
    clock_skew_seconds: float = 0.0
    tablespaces: tuple[str, ...] = ()
    outside_files: tuple[str, ...] = ()
    checkpoint_seconds: float | None = None
    is_tunnelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAddition:
    """What a run that was killed has left: written down before it was made.

    `has_directory`: the directory that it made is still there, unchanged in its identity. `is_running`: the run's
    process lives. `is_served`: the copy had been finished, and its server runs.
    """

    path: str
    began: str
    process: int
    server: str = ""
    slot: str = ""
    passfile: str = ""
    has_slot: bool = False
    has_directory: bool = False
    had_directory: bool = False  # it was there, and empty
    is_running: bool = False
    is_served: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts:
    """What the machine says. `problem`: why nothing can be put there. `account`: who owns and runs the copy.

    `is_other_account`: that is not who we are. `tool_problem`: why the copy, or the server, cannot be run here.
    """

    data_directory: str
    exists: bool = False
    problem: str = ""
    free_bytes: int | None = None
    account: str = ""
    is_other_account: bool = False
    port_problem: str = ""
    tool_problem: str = ""
    commands: tuple[tuple[str, str], ...] = ()  # of the plan: "copy", "start", "settings", …
    left: LeftAddition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionFacts:
    """Everything that planning a new replica needs. `unsupported`: dbtui cannot; `manual`: how somebody does it."""

    source: SourceFacts
    place: PlaceFacts
    unsupported: str = ""
    manual: tuple[str, ...] = ()
