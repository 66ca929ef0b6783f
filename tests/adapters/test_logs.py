"""Opening logs: the format is told, what is none is said in a sentence; packed, piped, half and growing files."""

import gc
import gzip
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.logs import LogReader, open_log
from dbtui.errors import Cancelled, DbtuiError, StorageError, UsageError
from dbtui.model.queries import LogFormat, StatementEvent
from tests.adapters.log_samples import SAMPLES, read_all
from tests.fix_servers import wait_until

TITLES = {
    "stderr": "postgresql stderr, log_line_prefix '%m [%p] %q%u@%d ' as guessed",
    "csvlog": "postgresql csvlog",
    "jsonlog": "postgresql jsonlog",
    "syslog": "postgresql syslog, log_line_prefix '%u@%d ' as guessed",
    "slow log of MariaDB": "mysql slow log",
    "slow log of MySQL": "mysql slow log",
    "general log of MariaDB": "mysql general log",
    "general log of MySQL": "mysql general log",
    "trace": "statement trace",
}


def refusal(source: str | Path | io.BytesIO, format_name: str = "", prefix: str = "") -> str:
    """The sentence with which a log is refused."""
    with pytest.raises(DbtuiError) as refused, open_log(source, format_name, prefix) as reader:
        list(reader)
    assert isinstance(refused.value, UsageError | StorageError)
    said = str(refused.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_format_is_told_from_the_lines(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]
    path = tmp_path / "some.file"
    path.write_text(sample.text, encoding="utf-8")
    with open_log(path) as reader:
        events = list(reader)
    assert reader.report.format == TITLES[name]
    assert reader.report.source == str(path)
    assert reader.report.statements == len(events) > 0
    assert [event.sql for event in events] == [event.sql for event in read_all(sample.make(), sample.text)]
    assert reader.read_bytes == reader.size_bytes == path.stat().st_size


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_packed_and_piped_logs_give_the_same(name: str, tmp_path: Path) -> None:
    data = SAMPLES[name].text.encode()
    plain, packed, squeezed = tmp_path / "plain", tmp_path / "packed.gz", tmp_path / "squeezed"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data[:300]) + gzip.compress(data[300:]))
    squeezed.write_bytes(zstandard.ZstdCompressor().compress(data))
    with open_log(plain) as reader:
        expected = list(reader)
    for source in (packed, str(squeezed), io.BytesIO(data)):
        with open_log(source) as reader:
            assert list(reader) == expected


def test_stdin_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program writes slowly into a pipe is read before it ends."""
    reading, writing = os.pipe()
    lines = SAMPLES["stderr"].text.encode()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stdin))
        pipe.write(lines)
        with open_log("-") as reader:
            assert reader.report.source == "stdin"
            batches = reader.batches()
            first = next(batches)
            assert len(first) == 7
            pipe.write(lines)
            second = next(batches)
            pipe.close()
            assert len([*first, *second, *(event for batch in batches for event in batch)]) == 16


def test_every_format_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(SAMPLES["stderr"].text)
    with open_log(path, "stderr", "%m [%p] %q%u@%d ") as reader:
        assert len(list(reader)) == 8
    assert "there is no format 'xml'" in refusal(path, "xml")
    assert all(name in refusal(path, "xml") for name in LogFormat)
    assert "has '%y', which PostgreSQL does not know" in refusal(path, "stderr", "%m %y ")


def test_a_log_of_another_format_than_was_named_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(SAMPLES["stderr"].text)
    for name in ("jsonlog", "csvlog", "slow", "general", "trace"):
        said = refusal(path, name)
        assert "no line of it could be read as" in said
        assert "line 1: " in said
        assert "2026-11-23 02:53:00.454 UTC [30834] LOG" in said


def test_what_is_no_log_says_what_was_tried_and_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("\n\nDear diary,\ntoday\x1b[31m\n")
    said = refusal(path)
    assert "line 3 is: Dear diary," in said
    assert all(word in said for word in ("jsonlog", "csvlog", "stderr", "slow log", "general log", "trace", "syslog"))
    path.write_text('{"sql": "SELECT 1", "seq": 1}\n')
    assert "needs session, seq and sql" in refusal(path)
    path.write_text('{"session": "a", "sql": "SELECT 1", "seq": "one"}\n')
    assert "line 1: seq: expected int, got str" in refusal(path)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "is empty"),
        (b"\x7fELF\x02\x01\0\0\0\0", "is binary"),
        (b"SQLite format 3\0", "is binary"),
        ("ä LOG:  ".encode("utf-16"), "UTF-16"),
        (b"BZh91AY&SY", "bzip2 -dc"),
        (b"\xfd7zXZ\0\0", "xz -dc"),
    ],
)
def test_files_that_are_no_text_are_told(data: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert word in refusal(path)
    assert word in refusal(io.BytesIO(data))


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "nothing")
    assert "names no file: File name too long" in refusal(tmp_path / ("x" * 300))
    assert "is a directory" in refusal(tmp_path)
    assert "gzip -dc" in refusal(io.BytesIO(gzip.compress(b"x")))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_packed_log_that_is_cut_is_read_as_far_as_it_goes(pack: "object", tmp_path: Path) -> None:
    assert callable(pack)
    lines = [f'{{"session":"s","seq":{n},"sql":"SELECT {n * 7919}"}}\n' for n in range(100_000)]
    packed: bytes = pack("".join(lines).encode())
    path = tmp_path / "log.packed"
    path.write_bytes(packed[: len(packed) // 2])
    with open_log(path) as reader:
        events = list(reader)
    assert 10_000 < len(events) < 90_000
    assert "ends too early" in " ".join(reader.report.warnings)


def test_a_log_without_statements_says_how_they_get_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("2026-11-23 02:53:00.454 UTC [30834] LOG:  checkpoint starting: time\n" * 5)
    with open_log(path) as reader:
        assert list(reader) == []
    assert reader.report.skipped == 5
    assert "log_min_duration_statement" in reader.report.warnings[0]
    path.write_text(SAMPLES["slow log of MySQL"].text.partition("# Time")[0])
    with open_log(path) as reader:
        assert list(reader) == []
    assert "long_query_time" in reader.report.warnings[0]


def test_a_half_last_line_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(SAMPLES["stderr"].text + "2026-11-23 02:53:01.000 UTC [30850] app@shop LOG:  duration: 1.5 ms  sta")
    with open_log(path) as reader:
        assert len(list(reader)) == 8
    path.write_text(SAMPLES["trace"].text + '{"session": "s1", "se')
    with open_log(path) as reader:
        assert len(list(reader)) == 3
    assert reader.report.unreadable == 1
    assert reader.report.first_unreadable.startswith("line 4: ")


class Follower:
    """Collects what a followed log gives, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.cancellation = Cancellation()
        self.reader: LogReader | None = None
        self.events: list[StatementEvent] = []
        self._path = path
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self.cancellation.governing():
            try:
                with open_log(self._path, is_followed=True) as self.reader:
                    for event in self.reader:
                        self.events.append(event)
            except Cancelled:
                pass

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.cancellation.request()
        self._thread.join()

    def wait_for(self, *numbers: int) -> None:
        expected = [f"SELECT {number}" for number in numbers]
        wait_until(lambda: [event.sql for event in self.events] == expected)


def line(number: int) -> str:
    return f"2026-11-23 02:53:00.{number:03} UTC [77] a@b LOG:  duration: 0.034 ms  statement: SELECT {number}\n"


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[tuple[Path, Follower]]:
    path = tmp_path / "postgresql-2026-11-23_000000.log"
    path.write_text(line(1))
    with Follower(path) as follower:
        follower.wait_for(1)
        yield path, follower


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_growing_log_is_followed_and_half_lines_wait(growing: tuple[Path, Follower]) -> None:
    path, follower = growing
    append(path, line(2) + line(3)[:50])
    follower.wait_for(1, 2)
    append(path, line(3)[50:])
    follower.wait_for(1, 2, 3)


def test_a_log_that_is_renamed_is_read_to_its_end_before_the_new_one(growing: tuple[Path, Follower]) -> None:
    path, follower = growing
    old = path.rename(path.with_suffix(".log.1"))
    append(old, line(2))  # the server has not noticed yet
    follower.wait_for(1, 2)
    path.write_text("")
    append(old, line(3))
    follower.wait_for(1, 2, 3)
    append(path, line(4))
    follower.wait_for(1, 2, 3, 4)


def test_the_file_that_comes_next_by_its_name_is_gone_on_with(growing: tuple[Path, Follower]) -> None:
    path, follower = growing
    (path.parent / "postgresql-2026-11-23_000000.csv").write_text("another format")
    following = path.parent / "postgresql-2026-11-24_000000.log"
    append(path, line(2))
    following.write_text(line(3))
    os.utime(following, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000_000))
    follower.wait_for(1, 2, 3)
    append(following, line(4))
    follower.wait_for(1, 2, 3, 4)
    assert follower.reader
    assert follower.reader.report.source == str(following)


def test_a_log_that_is_emptied_is_read_again_from_its_beginning(growing: tuple[Path, Follower]) -> None:
    path, follower = growing
    append(path, line(2))
    follower.wait_for(1, 2)
    path.write_text("")
    assert follower.reader
    reader = follower.reader
    wait_until(lambda: any("was emptied" in each for each in reader.report.warnings))
    append(path, line(3))
    follower.wait_for(1, 2, 3)


def test_an_empty_log_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with Follower(path) as follower:
        append(path, line(1))
        follower.wait_for(1)
    with Follower(path) as follower:
        follower.wait_for(1)


def test_reading_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line(1) * 50_000)
    cancellation = Cancellation()
    with open_log(path, cancellation=cancellation) as reader:
        batches = reader.batches()
        next(batches)
        cancellation.request()
        with pytest.raises(Cancelled):
            next(batches)


def test_a_very_long_statement_is_read_without_being_looked_at_again_and_again() -> None:
    """It comes in many pieces, and each is not searched from the beginning."""
    text = "SELECT 1\n" + "\t, 'a long one'\n" * 400_000
    log = f"2026-11-23 02:53:00.454 UTC [7] LOG:  duration: 5.5 ms  statement: {text.strip()}\n{line(2)}"
    searched = 0
    parser = SAMPLES["stderr"].make()
    find_cut = parser._find_cut

    def count(held: bytes) -> int:
        nonlocal searched
        searched += len(held)
        return find_cut(held)

    parser._find_cut = count  # type: ignore[method-assign]
    data = log.encode()
    pieces = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish()
    assert [len(event.sql) for event in events] == [len(text.strip().replace("\n\t", "\n")), 8]
    assert searched < 30 * len(data)


def test_a_record_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever a file holds."""
    monkeypatch.setattr("dbtui.adapters.log_parsing.MOST_RECORD_BYTES", 10_000)
    parser = SAMPLES["trace"].make()
    trace = SAMPLES["trace"].text.encode()
    events = [event for _ in range(50) for event in parser.feed(b"x" * 1000)]
    events += [*parser.feed(b"\n" + trace), *parser.finish()]
    assert len(events) == 3
    assert parser.counts.unreadable >= 1
    assert "longer than" in parser.counts.first_unreadable


def test_the_collector_is_as_before_when_a_log_was_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line(1) * 1000)
    before = gc.get_threshold()
    with open_log(path) as first, open_log(path) as second:
        reading, other = first.batches(), second.batches()
        next(reading)
        next(other)
        assert gc.get_threshold() != before
        list(reading)
        assert gc.get_threshold() != before
        list(other)
        assert gc.get_threshold() == before
