"""Keys that the configuration gives to actions: checked before the terminal is touched, so that no key surprises.

Textual itself takes any keymap: an unknown name is ignored, and a key that two actions share silently belongs to one.
"""

import difflib
import string
from collections.abc import Iterable, Mapping, Sequence

from textual.keys import Keys, _character_to_key

from dbtui.config import KeySetting
from dbtui.errors import ConfigError
from dbtui.model.text import format_untrusted
from dbtui.tui.actions import ACTIONS, Action, Danger, Keymap, action_of, key_name

#: Scopes whose keys work at the same time, for each place where an operator can be.
PLACES: tuple[frozenset[str], ...] = tuple(
    frozenset((*place.split(), *focused))
    for place, *focused in (
        *(
            (f"{pane} pane global", widget)
            for pane in (
                "connections live",
                "sessions live",
                "pools live",
                "clients live",
                "replay",
                "history backups",
                "contents backups",
                "diff",
                "partitioned live",
                "partitions live",
                "steps",
                "findings queries live",
                "top queries live",
                "replicas live",
                "jobs",
            )
            for widget in ("table", "text")
        ),
        ("dialog plan text",),
        ("palette",),
        ("help text",),
    )
)
#: Keys that buttons, choices and questions of yes or no keep for themselves.
_OF_WIDGETS: Mapping[str, frozenset[str]] = {
    scope: frozenset(("enter", "space", "left", "right", "h", "l", "y", "n")) for scope in ("dialog", "plan")
}
#: Without these there is no way out.
_VITAL = frozenset(("global.quit", "global.help", "global.back", "dialog.close", "palette.close", "help.close"))
_SPOKEN = {"esc": "escape", "return": "enter", "pgup": "pageup", "pgdn": "pagedown", "del": "delete", "ins": "insert"}
_SAME = {"ctrl+m": "enter", "ctrl+j": "enter", "ctrl+i": "tab", "ctrl+h": "backspace"}
_NAMED = (
    frozenset(key.value for key in Keys if len(key.value) > 1)
    | {"space", "tab", "shift+tab", "backspace"}
    | {_character_to_key(sign) for sign in string.punctuation}
)
#: What an action without keys is given: no terminal sends it.
NO_KEY = "no_key"


def make_keymap(settings: Sequence[KeySetting]) -> Keymap:
    """Return the keys of every action that has others than usual. Raises ConfigError naming file and line."""
    chosen: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        action = _action(setting)
        chosen[action.action_id] = tuple(dict.fromkeys(_key(setting, word) for word in setting.keys))
        _check_danger(setting, action, chosen[action.action_id])
        if not setting.keys and action.action_id in _VITAL:
            raise _error(setting, "it needs at least one key", "there would be no way out without it")
    for setting in settings:
        _check_clashes(setting, chosen)
    return chosen


def textual_keymap(keymap: Keymap) -> dict[str, str]:
    """Return the keymap as Textual wants it."""
    return {action_id: ",".join(keys) or NO_KEY for action_id, keys in keymap.items()}


def _error(setting: KeySetting, message: str, hint: str = "") -> ConfigError:
    return ConfigError(format_untrusted(f"{setting.where}: {setting.action_id}: {message}"), hint)


def _action(setting: KeySetting) -> Action:
    try:
        return action_of(setting.action_id)
    except KeyError:
        names = [action.action_id for action in ACTIONS]
        near = difflib.get_close_matches(setting.action_id, names, 1)
        hint = f"did you mean {near[0]}?" if near else "the names are SCOPE.ACTION, such as backups.verify"
        raise _error(setting, "there is no such action", hint) from None


def _key(setting: KeySetting, word: str) -> str:
    """Return Textual's name of a key as people write it. Raises ConfigError."""
    if len(word) == 1:
        if not word.isprintable():
            raise _error(setting, f"{word!r} is not a key")
        return word if word.isalnum() else _character_to_key(word)
    *modifiers, name = word.split("+") if not word.endswith("+") else (*word[:-2].split("+"), "plus")
    name = _SPOKEN.get(name.lower(), name if len(name) == 1 else name.lower())
    key = "+".join((*(modifier.lower() for modifier in modifiers), name))
    if key in _SAME:
        raise _error(setting, f"{word} is what terminals send for {_SAME[key]}", "choose another key")
    if key not in _NAMED and not (modifiers == ["shift"] and name in _NAMED):
        near = difflib.get_close_matches(key, sorted(_NAMED), 1)
        hint = f"did you mean {near[0]}?" if near else "write keys as in v, V, /, f5, ctrl+k, pagedown, enter"
        raise _error(setting, f"{word!r} is not a key that terminals send", hint)
    return key


def _check_danger(setting: KeySetting, action: Action, keys: Iterable[str]) -> None:
    bare = [key for key in keys if len(key) == 1 and not key.isupper() and key not in action.keys]
    if action.danger >= Danger.SESSION and bare:
        raise _error(setting, f"{bare[0]} is pressed too easily for what can end sessions or change data",
                     "use a capital letter, ctrl+letter or a function key")  # fmt: skip


def _check_clashes(setting: KeySetting, keymap: Keymap) -> None:
    scope = action_of(setting.action_id).scope
    near = frozenset[str]().union(*(place for place in PLACES if scope in place))
    for key in keymap[setting.action_id]:
        if key in _OF_WIDGETS.get(scope, ()):
            raise _error(setting, f"{key_name(key)} is what buttons and choices of a dialog take")
        for other in ACTIONS:
            if other.action_id == setting.action_id or other.scope not in near:
                continue
            is_usual = key in other.keys and key in action_of(setting.action_id).keys
            if key in keymap.get(other.action_id, other.keys) and not is_usual:
                raise _error(setting, f"{key_name(key)} is also {other.label} ({other.action_id})",
                             "give one of them another key")  # fmt: skip
