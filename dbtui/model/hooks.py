"""Who is told when a command or a job has ended, and what."""

from dataclasses import dataclass
from datetime import datetime

DEFAULT_TIMEOUT_SECONDS = 20.0
#: What history calls a job, by what an operator types for it, where the two differ.
TYPED = {
    "capture queries": "queries capture",
    "repair captures": "queries repair",
    "replicas drop slot": "replicas drop-slot",
    "replicas pause replay": "replicas pause",
    "replicas resume replay": "replicas resume",
}
#: Every command that changes or checks something: what `only` may name.
COMMANDS = (
    "backup create", "backup verify", "backup restore", "backup delete", "backup expire", "backup pin", "backup unpin",
    "backup push", "backup pull", "partitions apply", "replicas add", "replicas promote", "replicas pause",
    "replicas resume", "replicas drop-slot", "pools pause", "pools resume", "pools reload", "pools reconnect",
    "pools kill", "queries capture", "queries repair", "sessions cancel", "sessions terminate", "bench http",
    "bench sql",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """Who is told, as the configuration file has it.

    `on_failure` and `on_success` are programs with their arguments. The webhook's URL is a secret: in the variable
    `webhook_env`, or printed by `webhook_command`; `webhook_on` says of which ends it is told. `only`: commands, with
    `*`; empty: all.
    """

    on_failure: tuple[str, ...] = ()
    on_success: tuple[str, ...] = ()
    webhook_env: str = ""
    webhook_command: tuple[str, ...] = ()
    webhook_on: tuple[str, ...] = ("failure",)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReport:
    """What is told: how a command or a job ended. It holds no secret. `begun_at` is UTC; `profile`: whose hooks."""

    command: str  # "backup create"
    outcome: str  # "succeeded" | "partial" | "failed" | "cancelled"
    exit_code: int
    sentence: str
    begun_at: datetime
    seconds: float
    profile: str = ""
    subject: str = ""
    backup_id: str = ""

    @property
    def is_success(self) -> bool:
        """Whether nobody need be told of a failure."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class HookCall:
    """A program to be run, or a webhook to be called, for one report. `argv` is empty for the webhook."""

    name: str  # "on_failure", "on_success", "webhook"
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookProblem:
    """A call that told nobody, and why."""

    call: HookCall
    text: str
