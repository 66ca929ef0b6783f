"""What a verification of a repository's backup has found so far."""

from dataclasses import dataclass, field

from dbtui.model.events import Event, StepFinished


@dataclass
class Findings:
    """What has been looked at so far, what was not, and what was wrong. `steps` are seconds by step."""

    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    where: str = ""
    databases: int | None = None
    tables: int | None = None
    rows: int | None = None
    steps: dict[str, float] = field(default_factory=dict)

    def note(self, event: Event) -> Event:
        """Keep how long a step took."""
        if isinstance(event, StepFinished):
            self.steps[event.step] = round(self.steps.get(event.step, 0.0) + event.seconds, 3)
        return event
