"""Keys that sentences name: `{live.pause} goes on` is `p goes on`, or whatever key the configuration gives to it.

Whoever draws asks the app that is active; without one, as in a test of a pure function, keys are the usual ones.
"""

from textual._context import active_app

from dbtui.tui.actions import Keymap, action_of, key_name, speak


def _keymap() -> Keymap:
    app = active_app.get(None)
    keymap: Keymap = getattr(app, "keymap", {})
    return keymap


def spoken_key(action_id: str) -> str:
    """Return the first key of an action as the footer shows it: `⏎`, `R`."""
    keys = _keymap().get(action_id, action_of(action_id).keys)
    return key_name(keys[0]) if keys else "(no key)"


def speak_keys(text: str) -> str:
    """Return a sentence with the keys of the actions that it names in braces."""
    return speak(text, _keymap())
