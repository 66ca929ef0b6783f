"""How much the terminal is asked to do: what the configuration, the environment and `--rich` say, as one decision.

Over SSH every byte is on its way for a while, and the mouse belongs to the terminal's own selection: there the UI is
frugal unless it is told otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dbtui.config import UiSettings
from dbtui.tui.terminal import has_few_colours, is_remote

LOCAL_SECONDS, REMOTE_SECONDS = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Feel:
    """What the UI begins with."""

    theme: str = "dark"
    interval_seconds: float = LOCAL_SECONDS
    mouse: bool = True
    animation: bool = False

    @property
    def few_colours(self) -> bool:
        """Whether the terminal's own sixteen colours are used."""
        return self.theme == "ansi"


def decide_feel(settings: UiSettings, environ: Mapping[str, str], rich: bool | None = None) -> Feel:
    """Return what fits; `rich` is the option of the command line, which comes before the configuration."""
    wanted = settings.rich if rich is None else rich
    is_rich = wanted if wanted is not None else not is_remote(environ)
    theme = "ansi" if has_few_colours(environ) else settings.theme or "dark"
    interval = settings.interval_seconds or (LOCAL_SECONDS if is_rich else REMOTE_SECONDS)
    return Feel(theme, interval, mouse=is_rich, animation=bool(wanted))
