"""Keys and looks from the configuration: what cannot be is an error that names the line, what can be is shown."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.config import KeySetting, UiSettings, load_settings
from dbtui.errors import ConfigError
from dbtui.model.connections import ConnectionProfile
from dbtui.tui import actions
from dbtui.tui.actions import ACTIONS, Situation, action_of
from dbtui.tui.app import DbtuiApp
from dbtui.tui.cells import plain_text
from dbtui.tui.dialogs.help import show_help
from dbtui.tui.feel import decide_feel
from dbtui.tui.keymap import PLACES, make_keymap, textual_keymap
from dbtui.tui.widgets.footer import show_footer
from tests.tui.fake_watches import idle, snapshot
from tests.tui.fix_pty import Terminal
from tests.tui.world import World, screen_text, wait_to_see, wait_until

Start = Callable[..., Terminal]


def _keymap(tmp_path: Path, text: str) -> dict[str, tuple[str, ...]]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return dict(make_keymap(load_settings({}, path).keys))


def test_keys_are_read_as_people_write_them(tmp_path: Path) -> None:
    """In quotes or with bare dots; signs, names, modifiers; none at all."""
    text = (
        '[keys]\n"backups.verify" = "x f5"\nglobal.filter = "! ctrl+k PgDn"\n"sessions.terminate" = ""\n'
        '[keys.jobs]\ncancel = "ctrl+d"\n'
    )
    with pytest.raises(ConfigError, match=r"line 3: global.filter: PgDn is also page down \(table.page_down\)"):
        _keymap(tmp_path, text)
    assert _keymap(tmp_path, text.replace(" PgDn", "")) == {
        "backups.verify": ("x", "f5"),
        "global.filter": ("exclamation_mark", "ctrl+k"),
        "sessions.terminate": (),
        "jobs.cancel": ("ctrl+d",),
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"backups.verfy" = "c"', "backups.verfy: there is no such action; did you mean backups.verify?"),
        ('"backups.verify" = "q"', "q is also quit (global.quit)"),
        ('"backups.verify" = "r"', "r is also restore (backups.restore)"),
        ('"global.refresh" = "j"', "j is also down"),
        ('"history.open" = "tab"', "tab is also other side (pane.other)"),
        ('"sessions.terminate" = "e"', "e is pressed too easily"),
        ('"sessions.cancel_query" = "c"', "c is pressed too easily"),
        ('"backups.delete" = "x"', "x is pressed too easily"),
        ('"backups.verify" = "ctrl+j"', "ctrl+j is what terminals send for enter"),
        ('"backups.verify" = "crtl+k"', "'crtl+k' is not a key that terminals send; did you mean ctrl+k?"),
        ('"dialog.next" = "l"', "l is what buttons and choices of a dialog take"),
        ('"global.quit" = ""', "it needs at least one key"),
        ('"backups.verify" = 5', "expected keys as text in quotes"),
    ],
)
def test_what_cannot_be_names_the_line(tmp_path: Path, line: str, said: str) -> None:
    """File, line, what is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        _keymap(tmp_path, f"# mine\n\n[keys]\n{line}\n")
    assert f"{tmp_path}/config.toml, line 4: " in str(caught.value)
    assert said in str(caught.value)


def test_two_keys_may_change_places(tmp_path: Path) -> None:
    """Clashes are looked for when all are known."""
    assert len(_keymap(tmp_path, '[keys]\n"backups.verify" = "b"\n"backups.backup" = "v"\n')) == 2


def test_keys_of_other_panes_do_not_clash(tmp_path: Path) -> None:
    """They never work at the same time."""
    assert _keymap(tmp_path, '[keys]\n"jobs.cancel" = "t"\n')


def test_every_scope_has_its_place() -> None:
    """Else its clashes would not be seen."""
    assert {action.scope for action in ACTIONS} == frozenset().union(*PLACES)


def test_usual_keys_may_be_written_down() -> None:
    """Whatever is the default is allowed, dangerous or shared as it may be."""
    make_keymap([KeySetting(action.action_id, tuple(action.keys)) for action in ACTIONS])


def test_help_and_footer_show_the_new_keys() -> None:
    """And nothing shows an old one."""
    keymap = {"global.help": ("f2",), "backups.backup": ("ctrl+b",), "global.sort": ()}
    situation = Situation(scopes=("history", "backups", "global"), listing=True, keymap=keymap)
    footer = plain_text(show_footer(situation, 160))
    assert "ctrl+b backup" in footer
    assert "f2 keys" in footer
    assert " sort" not in footer
    text = "\n".join(plain_text(drawn) for drawn in show_help(situation))
    assert re.search(r"  f2 +Show every key", text)
    assert re.search(r"  \(no key\) +Sort by the next column", text)


async def test_new_keys_work_and_old_ones_do_not(world: World) -> None:
    """In the app, in a pane, and in a list."""
    app = world.app(world.profiles[0])
    app.keymap = {"global.jobs": ("9",), "table.down": ("N",), "backups.verify": ("f5",)}
    app.set_keymap({"global.jobs": "9", "table.down": "N", "backups.verify": "f5"})
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_to_see(pilot, "not proven")
        table = app.pane.focused_table
        assert table is not None
        await pilot.press("j", "v", "7")
        assert (table.cursor, app.active, app.runner.jobs) == (0, "backups", app.runner.jobs)
        assert not any(job.request.routine == "backup verify" for job in app.runner.jobs)
        await pilot.press("N")
        assert table.cursor == 1
        await pilot.press("9")
        assert app.active == "jobs"
        assert "Jobs" in screen_text(app)


#: Other keys for all that sentences name, and a key that none of them has.
OTHERS = {
    "live.pause": ("f2",), "global.refresh": ("f3",), "global.back": ("f4",), "global.cancel": ("f5",),
    "sessions.tree": ("f6",), "sessions.root": ("f7",), "sessions.filter_next": ("f8",), "backups.backup": ("f9",),
    "global.backups": ("f10",), "global.connections": ("f11",), "connections.password": ("f12",),
    "connections.open": ("A",), "global.quit": ("Q",), "sessions.cancel_query": ("ctrl+g",), "global.copy_to": ("Z",),
    "sessions.terminate": ("ctrl+t",), "global.jobs": ("J",),
}  # fmt: skip


def _remapped(world: World, opened: ConnectionProfile | None = None) -> DbtuiApp:
    app = world.app(opened)
    app.keymap = OTHERS
    app.set_keymap(textual_keymap(OTHERS))
    return app


async def test_sentences_name_the_keys_of_the_configuration(world: World) -> None:
    """In messages, hints, empty lists, reasons and the help: the screen is read."""
    app = _remapped(world)
    async with app.run_test(size=(160, 45)) as pilot:
        await wait_to_see(pilot, "connection refused")
        await pilot.press("j", "j")
        await wait_to_see(pilot, "f3 tries now · f12 types a password")
        await pilot.press("f2")
        await wait_to_see(pilot, "paused: f2 goes on, f3 asks once")
        await pilot.press("f2", "J")
        await wait_to_see(pilot, "f10, then f9 makes a backup")
        await pilot.press("f10", "f9")
        await wait_to_see(pilot, "open a connection first: f11, then A")
        await pilot.press("f11", "g", "A")
        await wait_to_see(pilot, "8123", "f6 tree · f7 root")
        await pilot.press("question_mark")
        await wait_to_see(pilot, "Mark this session for ctrl+g or ctrl+t")
        await pilot.press("escape", "slash", *"zzz", "enter")
        await wait_to_see(pilot, "f4 clears the filter")
        world.sessions["erp"] = snapshot("erp", idle(8300))
        await pilot.press("f4", "f3", "f8", "f8", "f8")
        await wait_to_see(pilot, "No session is blocked. f8 shows others.")
        await pilot.press("f11", "G", "A")
        await wait_to_see(pilot, "f10 shows its backups, f4 goes back")


async def test_the_strip_and_the_way_out_name_them_too(world: World) -> None:
    """What ends a job, and what leaves at once."""
    ends = threading.Event()
    world.gate = lambda _context: (ends.wait(20), None)[1]
    app = _remapped(world, world.profiles[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("v")
        await wait_to_see(pilot, "f5 cancel")
        await pilot.press("Q")
        await wait_to_see(pilot, "Leave while a job runs?")
        await pilot.press("y")
        await wait_to_see(pilot, "Q leaves at once")
        ends.set()
        await wait_until(pilot, lambda: not app.is_running)


def test_no_sentence_holds_a_key_of_its_own() -> None:
    """Whoever writes one names the action: `speak_keys("{live.pause} goes on")`."""
    keys = r"(?:[A-Za-z]|esc|ctrl\+[a-z]|\d)"
    verbs = r"(?:goes|asks|tries|clears|shows|opens|types|makes|stops|leaves|cancels?|reads|backs|ends|tree|root)"
    named = re.compile(rf"""["'\s({{;·,]{keys} {verbs}\b""")
    for path in sorted(Path(actions.__file__).parent.rglob("*.py")):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if '"""' not in text and "#" not in text and '"' in text:
                assert not named.search(text), f"{path.name}, line {number}: {text.strip()}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('theme = "drak"', "there is no theme 'drak'; use dark, light, ansi"),
        ("interval = 0", "interval is 0; use 0.5 to 60 seconds"),
        ("interval = true", "interval: expected a number"),
        ('rich = "yes"', "rich: expected true or false"),
        ("mouse = true", "unknown key 'mouse'"),
    ],
)
def test_the_looks_are_checked_too(tmp_path: Path, line: str, said: str) -> None:
    """Unknown names and impossible values name the line."""
    path = tmp_path / "config.toml"
    path.write_text(f"[ui]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings({}, path)
    assert f"{path}, line 2: {said}" in str(caught.value)


SSH = {"TERM": "xterm-256color", "SSH_CONNECTION": "10.0.0.7 50000 10.0.0.8 22"}


@pytest.mark.parametrize(
    ("environ", "settings", "option", "feel"),
    [
        ({"TERM": "xterm-256color"}, UiSettings(), None, ("dark", 1.0, True, False)),
        (SSH, UiSettings(), None, ("dark", 2.0, False, False)),
        (SSH, UiSettings(), True, ("dark", 1.0, True, True)),
        (SSH, UiSettings(rich=True), None, ("dark", 1.0, True, True)),
        (SSH, UiSettings(rich=True), False, ("dark", 2.0, False, False)),
        (SSH, UiSettings(theme="light", interval_seconds=5), None, ("light", 5.0, False, False)),
        ({"TERM": "linux"}, UiSettings(theme="light"), None, ("ansi", 1.0, True, False)),
        ({"TERM": "xterm-256color"}, UiSettings(theme="ansi"), None, ("ansi", 1.0, True, False)),
    ],
)
def test_how_much_the_terminal_is_asked_to_do(
    environ: dict[str, str], settings: UiSettings, option: bool | None, feel: tuple[str, float, bool, bool]
) -> None:
    """The option before the configuration, the configuration before the environment; no more colours than there are."""
    found = decide_feel(settings, environ, option)
    assert (found.theme, found.interval_seconds, found.mouse, found.animation) == feel


def test_dangerous_defaults_are_known() -> None:
    """What K and C do is dangerous; the list is what the check works with."""
    assert action_of("sessions.terminate").keys == ("K",)


def test_rich_turns_the_mouse_on_over_ssh(start_ui: Start) -> None:
    """`--rich`."""
    ui = start_ui("rich", SSH_CONNECTION="10.0.0.7 50000 10.0.0.8 22")
    ui.wait_to_see("erp-test")
    assert b"\x1b[?1003h" in ui.output
