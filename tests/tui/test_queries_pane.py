"""What repeats and what takes the time: looks and findings are given, keys pressed, the screen read; no server."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.analysis.queries import Normaliser
from dbtui.errors import ServerError, StorageError
from dbtui.tui.app import DbtuiApp
from dbtui.tui.cells import Tone
from dbtui.tui.panes.queries import QueriesPane
from dbtui.tui.panes.query_rows import Source, make_rows, show_lost
from tests.tui.query_world import COMMENTS, QueryWorld, events, judged, looks, patch_requests, snapshot, stale_capture
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)
CURE = "select(Post).options(selectinload(Post.comments))"


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch) -> QueryWorld:
    """The world, with a first target that is not of production."""
    world.profiles = (world.profiles[1], world.profiles[0], *world.profiles[2:])
    made = QueryWorld(world)
    patch_requests(made, monkeypatch)
    return made


async def _open(pilot: Pilot[Any], app: DbtuiApp, lab: QueryWorld, count: int = 0) -> QueriesPane:
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "5")
    await wait_until(pilot, lambda: bool(lab.watched))
    for look in looks(count):
        lab.watched[-1][1](look)
    pane = cast(QueriesPane, app.pane)
    wanted = snapshot(count - 1).monotonic_seconds if count else None
    await wait_until(
        pilot,
        lambda: wanted is None or (pane.feed.look is not None and pane.feed.look.snapshot.monotonic_seconds == wanted),
    )
    return pane


async def _capture(pilot: Pilot[Any], app: DbtuiApp) -> None:
    await pilot.press("c")
    await wait_until(pilot, lambda: bool(app.dialogs) and bool(app.dialogs[0].query("#accept")))
    await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
    await pilot.press("y")


async def test_a_suspect_becomes_a_finding_by_two_keys(lab: QueryWorld) -> None:
    """At eighty columns: the suspicion, c, y; the finding takes its place, and settings are as before."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, lab, 7)
        lines = screen_lines(app)
        assert lines[2].startswith(" ○ pg_stat_statements 1.10 every 3 s   1 suspected")
        assert lines[4].startswith(" ▲  suspect   post then 12 × comment WHERE $1 = ")
        assert "/min" in lines[4]
        await pilot.press("c")
        text = await wait_to_see(pilot, "Capture what runs at erp-test, to make sure of: post then 12 ×")
        await wait_to_see(pilot, "This has erp-test write down 10.0% of the transactions for 30 s, and puts",
                          "log_transaction_sample_rate = 0.1   (now 0)", "10 % of the transactions are")  # fmt: skip
        assert app.focused is app.dialogs[0].query_one("#cancel")
        assert "✖  N+1" not in text
        await pilot.press("y")
        text = await wait_to_see(pilot, "● 1 finding in 39 statements of 1 session, 30 s, settings as before")
        assert text.splitlines()[2].startswith(" ✖ 1 finding in 39 statements of 1 session   captured ")
        row = next(line for line in text.splitlines() if "N+1" in line)
        assert row.startswith(" ✖  N+1 0.")
        assert "post then 12 × comment WHERE ? = " in row
        assert "suspect " not in text
        assert "nothing else is suspected" in text
        assert pane.findings.row is not None and pane.findings.row.repetition is not None
        assert app.situation.copyable.startswith(CURE)
        assert lab.asked[-1] == ("capture", 30.0, 0.1)


async def test_the_evidence(lab: QueryWorld) -> None:
    """Enter: parent, child with what varies marked, samples, when it ran, why, the cure, what is saved and how."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, lab)
        await _capture(pilot, app)
        await wait_to_see(pilot, "settings as before")
        await pilot.press("enter")
        text = await wait_to_see(pilot, "✖ N+1  0.", f"cure        {CURE}")
        assert "where       /posts   blog   erp" in text
        assert "post then 12" not in text
        shown = pane.findings.detail.text
        for words in ("guard       raiseload(Post.comments)", "index       CREATE INDEX CONCURRENTLY ix_comment_",
                      "saved       (36 − 3) × (1.50 ms + 500 µs round trip) =", "first       SELECT post.id, ",
                      "then 12 ×   SELECT comment.id", "SELECT … FROM comment WHERE ‹1› = comment.post_id",
                      "ran         ", "why         ● ", "in 3 units of work"):  # fmt: skip
            assert words in shown, words
        assert "█" in next(line for line in shown.splitlines() if line.startswith("ran "))
        await pilot.press("escape")
        await wait_to_see(pilot, "post then 12")
        assert pane.findings.table.has_focus


async def test_list_and_evidence_side_by_side(lab: QueryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room both are there, and the keys that copy."""
    sent: list[str] = []
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open(pilot, app, lab, 7)
        text = await wait_to_see(pilot, "c captures what runs, to make sure", "WHERE")
        assert "within 0 %" in text
        assert f"cure        {CURE}" in text
        await _capture(pilot, app)
        await wait_to_see(pilot, "settings are as before", "/posts   blog   erp")
        monkeypatch.setattr(app, "_send", _keep(sent))
        await pilot.press("w", "e")
        await wait_until(pilot, lambda: len(sent) == 2)
        assert sent[0].startswith(COMMENTS.format(1))
        assert sent[1].startswith("N+1 (finding, 0.")
        assert f"cure: {CURE}" in sent[1]
        await pilot.press("slash", *"elsewhere", "enter")
        assert pane.findings.table.view.shown == []
        await pilot.press("escape", "s")
        await wait_to_see(pilot, "sorted by what")


def _keep(sent: list[str]) -> Callable[[str], Any]:
    async def send(text: str) -> None:
        sent.append(text)

    return send


async def test_findings_appear_while_a_capture_runs_and_it_can_be_cancelled(lab: QueryWorld) -> None:
    """The strip says how far it is; another capture has to wait; afterwards the settings are back."""
    lab.gate = lambda context: (context.cancellation.wait(60), None)[1]
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app, lab, 3)
        await _capture(pilot, app)
        text = await wait_to_see(pilot, "▌capturing   1 finding in 39 statements of 1 session so far",
                                 "▌capture queries erp-test", "10 of 30 seconds", "240 statements")  # fmt: skip
        assert "✖  N+1" in text
        await pilot.press("c")
        await wait_to_see(pilot, "capture: a capture is under way: ctrl+x ends it")
        await pilot.press("2", "5", "ctrl+x")
        await wait_to_see(pilot, "Cancel this job?", "the server's settings are put back")
        await pilot.press("y")
        await wait_to_see(pilot, "ended by: cancelled", "settings are as before")


async def test_what_is_not_put_back_is_told(lab: QueryWorld) -> None:
    """A line in place, and the message."""
    lab.is_restored = False
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app, lab)
        await _capture(pilot, app)
        await wait_to_see(pilot, " ✖ log_destination is stderr: somebody else changed it", "settings left:")
        assert "settings are as before" not in screen_text(app)


async def test_a_refusal_says_what_to_do(lab: QueryWorld) -> None:
    """And nothing can be pressed."""
    lab.refusal = "this login lacks rights; a superuser runs: GRANT ALTER SYSTEM ON PARAMETER log_destination TO dba"
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, lab)
        await pilot.press("c")
        await wait_to_see(pilot, "✖ this login lacks rights", "GRANT ALTER SYSTEM ON PARAMETER")
        assert app.dialogs[0].query_one("#accept").disabled
        await pilot.press("y")
        assert app.dialogs
        await pilot.press("escape")
        assert not any(each[0] == "capture" for each in lab.asked)


async def test_production_wants_its_name(lab: QueryWorld) -> None:
    """y is not enough there."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "j", "5")
        await wait_until(pilot, lambda: bool(lab.watched))
        await pilot.press("c")
        await wait_to_see(pilot, "(PRODUCTION)", "type the profile erp")
        await pilot.press("y")
        assert app.dialogs
        await pilot.press(*("backspace",), *"erp", "enter")
        await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
        await pilot.press("enter")
        await wait_to_see(pilot, "settings as before")


async def test_what_an_interrupted_capture_left_is_put_back_by_a_key(lab: QueryWorld) -> None:
    """The line is there when the pane opens, and goes."""
    lab.stale = (stale_capture(lab.world.profiles[0]),)
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, lab)
        text = await wait_to_see(pilot, "the capture of 2026-11-23 03:00 UTC, not put back")
        assert "r puts it back" in text
        assert "r repair" in screen_lines(app)[-1]
        await pilot.press("r")
        await wait_to_see(pilot, "the settings changed 3 min ago are as they were")
        await wait_until(pilot, lambda: "not put back" not in screen_text(app))
        assert ("repair", "erp-test") in lab.asked


async def test_what_an_interrupted_capture_left_is_told_at_the_start(lab: QueryWorld) -> None:
    """Whatever pane the UI begins with."""
    lab.stale = (stale_capture(lab.world.profiles[0]),)
    journals = Path(lab.world.runner.history.state_dir) / "captures"
    journals.mkdir(parents=True)
    (journals / "1.jsonl").write_text("{}")
    app = lab.world.app(lab.world.profiles[0])
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "a capture of erp-test has left settings changed: 5, then r puts it back")


async def test_that_journals_of_captures_cannot_be_read_is_told(lab: QueryWorld) -> None:
    """At the start, and by the pane: nothing found is another thing than not seen."""
    journals = Path(lab.world.runner.history.state_dir) / "captures"
    journals.mkdir(parents=True)
    (journals / "1.jsonl").write_text("{}")
    lab.world.error = StorageError("/state/captures cannot be read: Input/output error", "correct its permissions")
    said = "whether a capture has left settings changed is not known:"
    app = lab.world.app(lab.world.profiles[0])
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, f"{said} /state/captures cannot be read")
        app.say("nothing", Tone.DIM)
        await wait_until(pilot, lambda: said not in screen_text(app))
        await pilot.press("5")
        await wait_to_see(pilot, f"{said} /state/captures cannot be read")


async def test_gaps_and_errors_are_lines_in_place(lab: QueryWorld) -> None:
    """An extension that is missing, and a server that does not answer."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, lab)
        empty = looks(1)[0]
        gap = "pg_stat_statements is not loaded: set shared_preload_libraries"
        pane.feed.take(replace(empty, snapshot=snapshot(0, queries=(), gaps=(gap,), source="")), pane.feed._watch)
        await wait_to_see(pilot, f"○ {gap}", "Nothing repeats, as far as can be seen.", "o reads a log")
        await pilot.press("t")
        await wait_to_see(pilot, f"○ {gap}")
        await pilot.press("t")
        lab.world.error = ServerError("permission denied for view", "GRANT pg_monitor TO dba")
        await pilot.press("R")
        await wait_to_see(pilot, "✖ permission denied for view", "GRANT pg_monitor TO dba")


async def test_sqlite_points_to_the_recorder(lab: QueryWorld) -> None:
    """No server is asked."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("G", "5")
        await wait_to_see(pilot, "record_statements", "o reads the trace")
        assert lab.watched == []
        await pilot.press("c")
        await wait_to_see(pilot, "capture: no server logs its statements: record them inside, o reads that")


async def test_a_log_is_read_and_left_again(lab: QueryWorld, tmp_path: Path) -> None:
    """The path completes itself; the file's name is in the header; esc goes back to the target."""
    (tmp_path / "postgresql.json").write_text("")
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, lab, 7)
        await pilot.press("o")
        await wait_to_see(pilot, "Read a log or a trace", "takes what is suggested")
        await pilot.press(*f"{tmp_path}/post")
        await wait_until(pilot, lambda: app.dialogs[0].query_one("#path")._suggestion.endswith("postgresql.json"))  # type: ignore[attr-defined]
        await pilot.press("right", "enter")
        text = await wait_to_see(pilot, "✖ postgresql.json   1 finding", "N+1 0.")
        assert "erp-test ▸ queries ▸ postgresql.json" in text.splitlines()[0]
        assert "/min" not in text
        assert "suspect" not in text
        await pilot.press("escape")
        await wait_to_see(pilot, "suspect   post")
        lab.world.error = ServerError("no such file")
        await pilot.press("o", *"/nowhere/x.json", "enter")
        await wait_to_see(pilot, "x.json: no such file")


@pytest.mark.parametrize(("typed", "read"), [("~/x.json", "{home}/x.json"), ("-", "./-"), ("a b.log", "a b.log")])
async def test_a_path_is_read_as_a_shell_would(
    lab: QueryWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, read: str
) -> None:
    """A file below the home directory; and what stands for stdin elsewhere would take the keyboard away here."""
    monkeypatch.setenv("HOME", str(tmp_path))
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, lab)
        await pilot.press("o")
        await wait_to_see(pilot, "Read a log or a trace")
        await pilot.press(*typed, "enter")
        await wait_until(pilot, lambda: lab.asked[-1:] != [] and lab.asked[-1][0] == "inspect")
        assert lab.asked[-1][1].path == read.format(home=tmp_path)


async def test_what_repeats_and_is_no_n_plus_one_is_shown_on_request(lab: QueryWorld) -> None:
    """With what it is instead."""
    lab.found = judged(events(2, sql="SELECT rate.value, rate.valid_from FROM rate WHERE rate.code = 'EUR'"))
    assert lab.found.others
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, lab)
        await _capture(pilot, app)
        await wait_to_see(pilot, "● No N+1 in 26 statements.", "v shows 1 that repeat")
        await pilot.press("v")
        await wait_to_see(pilot, "○  same  ", "rate WHERE code")
        await pilot.press("enter")
        await wait_to_see(pilot, "○ same query again   no N+1")


async def test_top_queries_between_two_looks_and_since_the_reset(lab: QueryWorld) -> None:
    """What takes most first; what changed is marked for a look; d, s, / and the details."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, lab, 1)
        await pilot.press("t")
        await wait_to_see(pilot, "One look is there", "d shows what ran since the counters began")
        for look in looks(3)[1:]:
            lab.watched[-1][1](look)
        text = await wait_to_see(pilot, "pg_stat_statements 1.10   in the last 3 s   3 shapes")
        lines = text.splitlines()
        assert lines[3].split()[:3] == ["TIME↓", "SHARE", "CALLS"]
        assert lines[4].split()[:4] == ["400", "ms", "74%", "1"]
        assert "SELECT sum(amount) FROM bill" in lines[4]
        assert lines[5].split()[2:4] == ["23%", "84"]
        assert "queries ▸ top" in lines[0]
        await pilot.press("d")
        text = await wait_to_see(pilot, "since 2026-11-21")
        assert text.splitlines()[4].split()[:3] == ["1.20", "s", "86%"]
        await pilot.press("d", "slash", *"comment", "enter", "enter")
        await wait_to_see(pilot, "calls", "last 3 s", "in all", "CREATE INDEX CONCURRENTLY ix_comment_post_id")
        assert app.situation.copyable == COMMENTS.format("$1")
        await pilot.press("escape", "escape", "t")
        assert pane.level == "findings"


async def test_the_plan_is_a_tree_and_a_text(lab: QueryWorld) -> None:
    """x asks, x again shows the server's words; what costs most is marked."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app, lab, 3)
        await pilot.press("t", "x")
        text = await wait_to_see(pilot, "└─ ▲ Seq Scan on comment", "Filter: (post_id = $1)")
        step = next(line for line in text.splitlines() if "└─ ▲ Seq Scan" in line)
        assert "91.50" in step and step.rstrip("│ ").endswith("4")
        await pilot.press("x")
        await wait_to_see(pilot, "->  Seq Scan on comment  (cost=0.00..91.50 rows=4)")
        assert sum(each[0] == "explain" for each in lab.asked) == 1


async def test_late_and_older_looks_are_dropped_and_p_pauses(lab: QueryWorld) -> None:
    """Nobody asks out of sight, or while it is paused; what comes all the same is not shown."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, lab, 4)
        seen = lab.watched[-1][1]
        seen(looks(2)[1])
        await pilot.pause()
        assert pane.feed.look is not None and pane.feed.look.snapshot.monotonic_seconds == 1009.0
        await pilot.press("p")
        await wait_to_see(pilot, "paused: p goes on", "pg_stat_statements 1.10 paused")
        seen(looks(6)[5])
        await pilot.pause()
        assert pane.feed.look.snapshot.monotonic_seconds == 1009.0
        await pilot.press("p")
        await wait_until(pilot, lambda: len(lab.watched) == 2)
        await pilot.press("2")
        assert not pane.feed.is_watching
        await pilot.press("5")
        await wait_until(pilot, lambda: len(lab.watched) == 3)
        await pilot.press("plus")
        await wait_to_see(pilot, "asking every 2 s")


async def test_hostile_statements_are_text(lab: QueryWorld) -> None:
    """Escape sequences, markup and endless texts are shown, and do nothing."""
    evil = "SELECT evil.x, evil.yyyyyyyyyyyy, evil.zzzz FROM evil WHERE evil.id = {} AND evil.t = '\x1b[31m[red]‮\x07'"
    lab.found = judged(events(2, sql=evil))
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app, lab)
        await _capture(pilot, app)
        await wait_to_see(pilot, "settings as before", "[red]")
        text = screen_text(app)
        assert "\x1b" not in text and "\x07" not in text and "‮" not in text
        pane = cast(QueriesPane, app.pane)
        huge = snapshot(9, queries=tuple(replace(each, sql=each.sql + " /* " + "x" * 100_000 + " */")
                                         for each in snapshot(9).queries))  # fmt: skip
        pane.feed.take(replace(looks(1)[0], snapshot=huge), pane.feed._watch)
        await pilot.press("t", "d")
        await wait_to_see(pilot, "since")


def test_what_was_watched_for_a_moment_is_no_rate(lab: QueryWorld) -> None:
    """A page that was asked for once in the first second is not asked for sixty times a minute."""
    begun = Source(found=lab.found, name="capture", taken_at=datetime.now(UTC), seconds=1.0, is_running=True)
    for seconds, is_running, is_rate in ((1.0, True, False), (12.0, True, True), (3.0, False, True)):
        source = replace(begun, seconds=seconds, is_running=is_running)
        (row,) = make_rows(source, (), Normaliser().shape, shows_others=False)
        assert row.is_per_minute is is_rate
        assert show_lost(row).endswith("/min") is is_rate
        assert row.lost
