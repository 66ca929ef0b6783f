"""A slow link: the screen is never far behind, the interval stretches, the header says so, and keys get through."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.tui.link import FIRST_PIECE, MODEST_HOPE, Link
from tests.costs import least
from tests.tui.fix_pty import Terminal
from tests.tui.live_sessions import LOG
from tests.tui.slow_line import SlowLine, Staleness, is_ended, open_sessions

Start = Callable[..., Terminal]

#: Two are promised.
STALE_SECONDS = 1.5


def notice(line: SlowLine) -> None:
    """Wait for the badge; what draws the screen anew, twice, fills the line as long as it has not come."""
    for _ in range(5):
        ends = time.monotonic() + 2.0
        while "link slow" not in line.ui.text and time.monotonic() < ends:
            line.show(0.1)
        if "link slow" in line.ui.text:
            return
        line.ui.press("\x0c")
        line.show(0.25)
        line.ui.press("\x0c")


@pytest.mark.parametrize("answers", [False, True], ids=["silent", "answering"])
@pytest.mark.parametrize("rate", [10_000, 20_000])
def test_the_screen_is_never_two_seconds_stale(start_ui: Start, tmp_path: Path, rate: int, answers: bool) -> None:
    """Every column of forty rows changes with each look. The kernel keeps 18 kB unseen of what a silent one is sent."""
    ui = start_ui("live=40", "wild", columns=160, rows=45, answers=answers, COLORTERM="truecolor")
    with SlowLine(ui, rate) as line:
        open_sessions(line)
        notice(line)
        line.show(2.0)
        stale = Staleness(ui, tmp_path / LOG)

        def show_for_a_while() -> float:
            stale.samples.clear()
            line.show(7.0, stale.take)
            assert len(stale.samples) > 50
            return stale.worst

        assert least(show_for_a_while, STALE_SECONDS) < STALE_SECONDS, [round(sample, 2) for sample in stale.samples]
        assert re.search(r"link slow: every \d+ s", ui.text), ui.text
        looks = list(stale.looks().values())
        assert looks[-1] - looks[-2] > 1.5
        ui.press("q")
        assert line.show_until(lambda: is_ended(ui), 5) < 2.5


def test_a_slow_link_stretches_the_interval_and_says_so(start_ui: Start, tmp_path: Path) -> None:
    """At two kilobytes a second servers are asked less often than at ten, and there is room for keys."""
    ui = start_ui("live=40", "wild", answers=True)
    with SlowLine(ui, 2000) as line:
        open_sessions(line)
        stale = Staleness(ui, tmp_path / LOG)
        line.show(9.0)
        assert re.search(r"link slow: every \d+ s", ui.text), ui.text
        looks = list(stale.looks().values())
        assert looks[-1] - looks[-2] > 1.5
        ui.press("?")
        assert line.show_until(lambda: "Close" in ui.text, 5) < 5


def test_a_fast_link_is_not_called_slow(start_ui: Start) -> None:
    """The interval is a second, two over SSH; nothing is said."""
    ui = start_ui("live=40", columns=160, rows=45)
    ui.wait_to_see("erp-test")
    ui.press("\r")
    ui.wait_to_see("look 00003")
    assert "link slow" not in ui.text


# ------------------------------------------------------------ without a terminal


def _busy(link: Link, rate: float, begin: float, seconds: float, tick: float = 1.0, count: int = 6000) -> float:
    """Live data of so many bytes a tick, on a pseudo-terminal that takes `rate`; returns the time.

    As with Linux, a write that finds it full goes on when there is room for 3.6 kB again.
    """
    now, full = begin, 0.0
    while now < begin + seconds:
        link.queued(count, now)
        for _ in range(count // 500):
            full += 500
            waits = 3600 / rate if full > 18_000 else 0.0
            link.writes(now)
            link.wrote(500, now, now + waits)
            full, now = max(0.0, full - waits * rate), now + waits
        link.consider(now)
        rest = max(tick, link.interval_seconds)
        full, now = max(0.0, full - rest * rate), now + rest
    return now


def test_the_rate_is_learned_from_writes_that_wait() -> None:
    """Six kilobytes a tick do not fit into three a second: the interval grows, and shrinks again when there is less."""
    link = Link()
    now = _busy(link, 3000, 100.0, 60)
    assert link.rate is not None
    assert 2000 < link.rate < 5000
    assert link.interval_seconds >= 4
    assert link.badge == f"link slow: every {link.interval_seconds:g} s"
    _busy(link, 3000, now, 120, count=500)
    assert link.interval_seconds == 2.0
    link.wrote(1, 500.0, 500.0)
    link.rate = None
    link.consider(501.0)
    assert (link.interval_seconds, link.badge) == (1.0, "")


def test_what_answers_keys_does_not_stretch_the_interval() -> None:
    """Scrolling for half a minute is no reason to ask servers less often."""
    link = Link()
    now = 100.0
    link.rate = 5000
    for _ in range(300):
        now += 0.1
        link.key_came(now)
        link.queued(1500, now)
        link.writes(now)
        link.wrote(1500, now, now)
        link.consider(now)
    assert link.interval_seconds == 2.0


def test_an_answer_that_does_not_come_holds_the_next_frame_for_a_while() -> None:
    """The line may stall; after five seconds it is tried again."""
    link = Link()
    link.asked(10.0)
    link.answered(10.1)
    assert link.round_trip_seconds == pytest.approx(0.1)
    link.queued(2000, 11.0)
    link.wrote(2000, 11.0, 11.0)
    link.asked(11.0)
    assert link.wait_seconds(11.1) == 0
    assert link.wait_seconds(12.0) > 0
    assert link.wait_seconds(17.0) == 0


def test_answers_tell_the_rate() -> None:
    """Twenty kilobytes that are shown after two seconds: about ten a second."""
    link = Link()
    link.asked(0.0)
    link.answered(0.1)
    link.queued(20_000, 1.0)
    link.wrote(20_000, 1.0, 1.0)
    link.asked(1.0)
    link.answered(3.1)
    assert link.rate == pytest.approx(10_000, rel=0.05)
    assert link.piece_bytes == pytest.approx(4000, rel=0.05)


def test_a_silent_terminal_of_unknown_speed_is_not_flooded() -> None:
    """Live data waits when more is under way than eight kilobytes a second would clear soon; answers to keys do not."""
    link = Link()
    link.queued(10_000, 100.0)
    link.wrote(10_000, 100.0, 100.0)
    assert link.wait_seconds(100.1) > 0
    assert link.wait_seconds(100.6) == 0
    link.queued(10_000, 100.6)
    link.wrote(10_000, 100.6, 100.6)
    link.key_came(100.7)
    assert link.wait_seconds(100.7) == 0
    assert link.rate is None


def test_the_first_screen_goes_in_pieces_until_an_answer_proves_the_link_fast() -> None:
    """Then all at once."""
    link = Link()
    link.asked(0.0)
    link.answered(0.05)
    assert link.piece_bytes == FIRST_PIECE
    for _ in range(2):
        link.queued(FIRST_PIECE, 0.1)
        link.wrote(FIRST_PIECE, 0.1, 0.1)
        link.asked(0.1)
    assert link.wait_seconds(0.1) > 0
    link.answered(0.2)
    assert link.wait_seconds(0.2) == 0
    assert link.piece_bytes is None


def test_a_silent_link_is_not_filled_again_and_again_to_find_out_whether_it_is_faster() -> None:
    """Below twice what was measured there is room beside live data; beyond, it is tried once a minute, then seldom."""
    link = Link()
    now = _busy(link, 3000, 100.0, 40)
    assert link.rate is not None
    measured = link.rate
    for _ in range(200):
        now += 0.1
        link.key_came(now)
        link.queued(2000, now)
        link.wrote(2000, now, now)
        assert link.rate < measured * MODEST_HOPE
    for _ in range(1200):
        now += 0.1
        link.wrote(2000, now, now)
    assert link.rate > measured * MODEST_HOPE
