"""How far a step is, as a line."""

from dbtui.cli.progress import ProgressMeter, format_amount
from dbtui.model.events import Progressed, StepStarted


def test_share_amount_rate_and_time_left() -> None:
    meter = ProgressMeter.of_step(StepStarted("dump", "erp"), 100.0)
    assert meter.format_line(102.0) == "dump  erp  2 s"
    meter.note(Progressed(0, 1_000_000_000, "bytes"), 102.0)
    meter.note(Progressed(500_000_000, 1_000_000_000, "bytes"), 107.0)
    assert meter.rate == 100_000_000
    assert meter.seconds_left == 5
    assert meter.format_line(107.0) == "dump  ██████████░░░░░░░░░░   50 %  500 MB of 1.0 GB  100 MB/s  5 s left"
    assert meter.format_line(107.0, bar=False) == "dump   50 %  500 MB of 1.0 GB  100 MB/s  5 s left"


def test_without_a_total_there_is_no_bar() -> None:
    meter = ProgressMeter.of_step(StepStarted("count rows"), 0.0)
    meter.note(Progressed(1200, None, "rows"), 1.0)
    assert meter.format_line(3.0) == "count rows  1.2 k rows  3 s"


def test_more_than_expected_is_all_of_it() -> None:
    meter = ProgressMeter.of_step(StepStarted("dump"), 0.0)
    meter.note(Progressed(150, 100, "tables", "public.users"), 1.0)
    assert " 100 % " in meter.format_line(1.0)
    assert meter.format_line(1.0).endswith("public.users")


def test_a_step_that_begins_again_forgets_its_rate() -> None:
    meter = ProgressMeter.of_step(StepStarted("x"), 0.0)
    meter.note(Progressed(0, 10, "pages"), 0.0)
    meter.note(Progressed(10, 10, "pages"), 2.0)
    meter.note(Progressed(0, 10, "rows"), 3.0)
    assert meter.rate is None


def test_amounts() -> None:
    assert format_amount(Progressed(1_200_000_000, 1_700_000_000, "bytes")) == "1.2 of 1.7 GB"
    assert format_amount(Progressed(2_000_000, 1_000_000, "bytes")) == "1.0 of 1.0 MB"
    assert format_amount(Progressed(0, 0, "bytes")) == "0 B"
    assert format_amount(Progressed(3, 42, "tables")) == "3 of 42 tables"
    assert format_amount(Progressed(3, None, "\x1b[31m")) == "3 ·[31m"
