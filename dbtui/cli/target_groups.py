"""Groups of commands whose first word may also be a TARGET: `dbtui pools erp` is `dbtui pools show erp`."""

import os

import click
from click.shell_completion import CompletionItem

from dbtui.cli.options import complete_targets
from dbtui.errors import ConfigError, UsageError

SHOW = "show"


class TargetOrCommand(click.Group):
    """A group with a command `show` that is meant when the first word is no command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take words that begin with no command for those of `show`."""
        is_command = bool(args) and args[0] in self.commands
        asks_for_help = bool(set(args) & set(ctx.help_option_names)) and not is_command
        if is_command and len(args) == 1 and not ctx.resilient_parsing:
            _refuse_profile(str(self.name), args[0])
        if not asks_for_help and (args or not ctx.resilient_parsing) and not is_command:
            args = [SHOW, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands and the profiles' names."""
        target = self.commands[SHOW].params[0]
        return [*super().shell_complete(ctx, incomplete), *complete_targets(ctx, target, incomplete)]


def _refuse_profile(group: str, word: str) -> None:
    """A command's name alone may be meant as the profile of that name: say how to name that. Raises UsageError."""
    from dbtui.config import load_settings

    try:
        known = load_settings(os.environ).profile(word) if word != SHOW else None
    except ConfigError:
        return  # told when the command itself reads it
    if known is not None:
        raise UsageError(f"{word} is a command of dbtui {group}, and a profile of yours",
                         f"dbtui {group} show {word} shows that one's {group}; the command needs a TARGET")  # fmt: skip
