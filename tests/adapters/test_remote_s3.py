"""S3, against a real server: what is sent is there, whole and confirmed, through every fault of the network."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.registry import open_remote
from dbtui.adapters.remotes.remote import Remote
from dbtui.errors import Cancelled, ConfigError, ConnectError, RemoteError, RemoteExistsError, StorageError
from dbtui.model.backups import BackupFile
from dbtui.model.connections import Secret
from dbtui.model.events import Progressed
from dbtui.model.remotes import Confirmation
from tests.fix_remotes import Faults, FaultyNetwork, S3Server, s3_address, s3_settings
from tests.remote_files import MEBIBYTE, run, write_file


@contextmanager
def opened(
    bucket: str, url: str, cancellation: Cancellation | None = None, timeout_seconds: float = 5.0
) -> Iterator[Remote]:
    settings = s3_settings(url, timeout_seconds=timeout_seconds)
    remote = open_remote(s3_address(bucket), settings, {}, cancellation or Cancellation())
    try:
        yield remote
    finally:
        remote.close()


def reaching(remote: Remote, file: BackupFile, folder: Path) -> list[Callable[[], object]]:
    """All that asks the server for something that may be refused."""
    return [
        lambda: list(remote.list_objects()),
        lambda: remote.read("m", 1),
        lambda: remote.create("m", b""),
        lambda: run(remote.upload(folder / file.path, file.path, file)),
    ]


def test_a_large_file_goes_there_and_comes_back(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "erp.dump", 60 * MEBIBYTE + 17)
    with opened(bucket, s3_server.url()) as remote:
        told, confirmation = run(remote.upload(tmp_path / "erp.dump", "2026/erp.dump", file))
        assert confirmation is Confirmation.CHECKSUM
        assert told == sorted(told)
        assert s3_server.keys(bucket) == {"erp/2026/erp.dump": file.size_bytes}
        assert s3_server.open_uploads(bucket) == []
        told, _ = run(remote.download("2026/erp.dump", tmp_path / "back", file))
    assert told[-1] == file.size_bytes
    assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == file.sha256
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", [0, 1, 5 * MEBIBYTE, 8 * MEBIBYTE, 8 * MEBIBYTE + 1])
def test_sizes_at_the_edges(s3_server: S3Server, tmp_path: Path, size: int) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", size)
    with opened(bucket, s3_server.url()) as remote:
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
        run(remote.download("a", tmp_path / "b", file))
    assert s3_server.read(bucket, "erp/a") == (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_cut_in_the_middle_is_gone_over(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 40 * MEBIBYTE)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(cut_after=15 * MEBIBYTE))
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
        assert network.faults.cut_after is None
        network.begin(Faults(cut_reply_after=15 * MEBIBYTE))
        run(remote.download("a", tmp_path / "b", file))
        assert network.faults.cut_reply_after is None
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert s3_server.open_uploads(bucket) == []


def test_an_upload_that_lost_its_network_is_gone_on_with(
    s3_server: S3Server, network: FaultyNetwork, tmp_path: Path
) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 80 * MEBIBYTE)
    with opened(bucket, network.url, timeout_seconds=1) as remote:
        network.begin(Faults(cut_after=68 * MEBIBYTE, refuse_after_cut=True))
        with pytest.raises(ConnectError, match="broke the connection off"):
            run(remote.upload(tmp_path / "a", "a", file))
    assert s3_server.keys(bucket) == {}
    assert s3_server.open_uploads(bucket) == ["erp/a"]
    network.begin(Faults())
    with opened(bucket, network.url) as remote:
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
    assert network.sent_bytes < 76 * MEBIBYTE
    assert s3_server.open_uploads(bucket) == []
    assert hashlib.sha256(s3_server.read(bucket, "erp/a")).hexdigest() == file.sha256


SENDER = """
import sys
from pathlib import Path
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.registry import open_remote
from dbtui.model.backups import BackupFile
from tests.fix_remotes import s3_address, s3_settings
bucket, url, path, size, sha256 = sys.argv[1:]
remote = open_remote(s3_address(bucket), s3_settings(url), {}, Cancellation())
for event in remote.upload(Path(path), "a", BackupFile("a", int(size), sha256)):
    print(event.done, flush=True)
"""


def test_an_upload_that_was_killed_is_gone_on_with(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 80 * MEBIBYTE)
    network.begin(Faults(bytes_per_second=20 * MEBIBYTE))
    argv = [sys.executable, "-c", SENDER, bucket, network.url, str(tmp_path / "a"), str(file.size_bytes), file.sha256]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        while int(sender.stdout.readline()) < 68 * MEBIBYTE:
            pass
        sender.kill()
    assert s3_server.keys(bucket) == {}
    assert s3_server.open_uploads(bucket) == ["erp/a"]
    network.begin(Faults())
    with opened(bucket, network.url) as remote:
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
    assert network.sent_bytes < 76 * MEBIBYTE
    assert s3_server.open_uploads(bucket) == []
    assert hashlib.sha256(s3_server.read(bucket, "erp/a")).hexdigest() == file.sha256


def test_what_is_there_whole_is_not_sent_again(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 20 * MEBIBYTE)
    other = write_file(tmp_path / "b", 20 * MEBIBYTE, b"other")
    with opened(bucket, network.url) as remote:
        run(remote.upload(tmp_path / "a", "a", file))
        network.begin(Faults())
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
        assert network.sent_bytes < 10_000
        assert run(remote.upload(tmp_path / "b", "a", other))[1] is Confirmation.CHECKSUM
    assert hashlib.sha256(s3_server.read(bucket, "erp/a")).hexdigest() == other.sha256


def test_uploads_that_nobody_goes_on_with_are_swept(s3_server: S3Server, tmp_path: Path) -> None:
    """The server says of all of them that they were begun in 2010."""
    bucket = s3_server.make_bucket()
    for key in ("erp/left", "erp/d/left", "erp2/theirs", "theirs"):
        s3_server.client.create_multipart_upload(Bucket=bucket, Key=key)
    file = write_file(tmp_path / "a", 5)
    with opened(bucket, s3_server.url()) as remote:
        run(remote.upload(tmp_path / "a", "a", file))
    assert sorted(s3_server.open_uploads(bucket)) == ["erp2/theirs", "theirs"]
    whole = open_remote(s3_address(bucket, ""), s3_settings(s3_server.url()), {}, Cancellation())
    run(whole.upload(tmp_path / "a", "a", file))
    whole.close()
    assert sorted(s3_server.open_uploads(bucket)) == ["erp2/theirs", "theirs"]


def test_parts_of_another_content_are_not_gone_on_with(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    begun = s3_server.client.create_multipart_upload(Bucket=bucket, Key="erp/a")["UploadId"]
    for number in (1, 3):
        s3_server.client.upload_part(
            Bucket=bucket, Key="erp/a", UploadId=begun, PartNumber=number, Body=b"y" * 8 * MEBIBYTE
        )
    file = write_file(tmp_path / "a", 20 * MEBIBYTE)
    with opened(bucket, s3_server.url()) as remote:
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
    assert s3_server.read(bucket, "erp/a") == (tmp_path / "a").read_bytes()
    assert s3_server.open_uploads(bucket) == []


@pytest.mark.parametrize("size", [4 * MEBIBYTE, 20 * MEBIBYTE])
def test_a_bit_flipped_on_its_way_is_noticed_and_sent_again(
    s3_server: S3Server, network: FaultyNetwork, tmp_path: Path, size: int
) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", size)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(flip_at=2 * MEBIBYTE))
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
    assert network.faults.flip_at is None
    assert network.sent_bytes > size + 2 * MEBIBYTE
    assert s3_server.read(bucket, "erp/a") == (tmp_path / "a").read_bytes()


def test_a_small_object_that_was_flipped_on_its_way_is_taken_away(s3_server: S3Server, network: FaultyNetwork) -> None:
    bucket = s3_server.make_bucket()
    with opened(bucket, network.url) as remote:
        network.begin(Faults(flip_at=50_000))
        with pytest.raises(RemoteError, match="did not arrive"):
            remote.create("m.json", b"m" * 100_000)
        assert s3_server.keys(bucket) == {}
        remote.create("m.json", b"m" * 100_000)
    assert s3_server.read(bucket, "erp/m.json") == b"m" * 100_000


def test_a_network_that_carries_nothing_ends_within_the_time_configured(
    s3_server: S3Server, network: FaultyNetwork, tmp_path: Path
) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 30 * MEBIBYTE)
    with opened(bucket, network.url, timeout_seconds=1) as remote:
        calls: list[tuple[int, Callable[[], object]]] = [
            (5 * MEBIBYTE, lambda: run(remote.upload(tmp_path / "a", "a", file))),
            (0, lambda: remote.read("b", 10)),
            (0, lambda: remote.create("c", b"c")),
            (0, lambda: list(remote.list_objects())),
        ]
        for freeze_after, call in calls:
            network.begin(Faults(freeze_after=freeze_after))
            began = time.monotonic()
            with pytest.raises(ConnectError, match="did not answer"):
                call()
            assert time.monotonic() - began < 3
    assert s3_server.keys(bucket) == {}


def test_cancelling_in_the_middle_leaves_nothing(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 60 * MEBIBYTE)
    cancellation = Cancellation()
    with opened(bucket, network.url, cancellation) as remote:
        network.begin(Faults(bytes_per_second=30 * MEBIBYTE))
        routine = remote.upload(tmp_path / "a", "a", file)
        for event in routine:
            if isinstance(event, Progressed) and event.done > 10 * MEBIBYTE:
                break
        assert s3_server.open_uploads(bucket) == ["erp/a"]
        cancellation.request()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            next(routine)
        assert time.monotonic() - began < 2
    assert s3_server.keys(bucket) == {}
    assert s3_server.open_uploads(bucket) == []


def test_a_routine_that_is_given_up_leaves_nothing(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 60 * MEBIBYTE)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(bytes_per_second=30 * MEBIBYTE))
        routine = remote.upload(tmp_path / "a", "a", file)
        next(routine)
        routine.close()
    assert s3_server.open_uploads(bucket) == []
    assert s3_server.keys(bucket) == {}


def test_cancelling_a_download_leaves_no_file(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 40 * MEBIBYTE)
    cancellation = Cancellation()
    with opened(bucket, network.url, cancellation) as remote:
        run(remote.upload(tmp_path / "a", "a", file))
        network.begin(Faults(freeze_after=2_000))
        threading.Timer(0.3, cancellation.request).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            run(remote.download("a", tmp_path / "b", file))
        assert time.monotonic() - began < 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_wrong_keys_are_told_as_such_and_not_shown(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 9 * MEBIBYTE)
    s3_server.demand_keys(demanded=True)
    try:
        remote = open_remote(
            s3_address(bucket), s3_settings(s3_server.url(), secret=Secret("hunter2")), {}, Cancellation()
        )
        for call in reaching(remote, file, tmp_path):
            with pytest.raises((ConnectError, RemoteError)) as caught:
                call()
            assert "AWS_ACCESS_KEY_ID" in str(caught.value)
            assert "hunter2" not in str(caught.value)
            assert "\n" not in str(caught.value)
        remote.close()
    finally:
        s3_server.demand_keys(demanded=False)


def test_a_bucket_that_is_not_there_is_told_as_such(s3_server: S3Server, tmp_path: Path) -> None:
    with opened("no-such-bucket", s3_server.url()) as remote:
        for call in (
            *reaching(remote, write_file(tmp_path / "a", 9 * MEBIBYTE), tmp_path),
            *reaching(remote, write_file(tmp_path / "b", 9), tmp_path),
        ):
            with pytest.raises(RemoteError, match="there is no bucket 'no-such-bucket'"):
                call()


def test_a_server_that_is_not_there_is_told_as_such() -> None:
    with opened("bucket", "http://127.0.0.1:1", timeout_seconds=1) as remote:
        for call in (lambda: list(remote.list_objects()), lambda: remote.read("a", 1)):
            with pytest.raises(ConnectError, match=r"127\.0\.0\.1:1 refused the connection"):
                call()


def test_a_name_is_taken_once(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    with opened(bucket, s3_server.url()) as remote:
        remote.create("m.json", b"one")
        with pytest.raises(RemoteExistsError):
            remote.create("m.json", b"two")
        assert remote.read("m.json", 3) == b"one"
        with pytest.raises(RemoteError, match="larger than it can be"):
            remote.read("m.json", 2)
        remote.remove("m.json")
        remote.remove("m.json")
        assert remote.find_object("m.json") is None
        with pytest.raises(RemoteError, match="does not hold"):
            remote.read("m.json", 9)


def test_thousands_of_objects_are_listed_page_by_page(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    s3_server.fill(bucket, "erp/d/", 2500)
    s3_server.client.put_object(Bucket=bucket, Key="erp2/other", Body=b"")
    with opened(bucket, s3_server.url()) as remote:
        found = list(remote.list_objects())
    assert len(found) == 2500
    assert [each.name for each in found] == [f"d/{number:05}" for number in range(2500)]
    assert {each.size_bytes for each in found} == {5}
    assert all(each.modified_at is not None and each.modified_at.tzinfo is not None for each in found)


HOSTILE = [
    "a b", "a+b", "50%", "%41", "é€", "\U0001f600", "q?x=1", "h#h", "amp&lt;<>", 'q"uote\'s', "back\\slash", "c:d",
    "~t", "*[]{}|^`", "-rf", "a" * 200, "dot.", ".hidden", "a,b;c=d@e!$", "&quot;", "_\u202eRTL",
]  # fmt: skip


def test_hostile_names_go_there_and_come_back(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    large = write_file(tmp_path / "large", 9 * MEBIBYTE)
    with opened(bucket, s3_server.url()) as remote:
        for number, name in enumerate(HOSTILE):
            remote.create(f"d/{name}", str(number).encode())
        assert {each.name for each in remote.list_objects()} == {f"d/{name}" for name in HOSTILE}
        for number, name in enumerate(HOSTILE):
            assert remote.read(f"d/{name}", 9) == str(number).encode()
            assert remote.find_object(f"d/{name}") is not None
        assert set(s3_server.keys(bucket)) == {f"erp/d/{name}" for name in HOSTILE}
        for name in HOSTILE[:8]:
            run(remote.upload(tmp_path / "large", f"d/{name}", large))
            run(remote.download(f"d/{name}", tmp_path / "back", large))
            (tmp_path / "back").unlink()
        for name in HOSTILE:
            remote.remove(f"d/{name}")
        assert s3_server.keys(bucket) == {}


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\nb", "a\0", "\x1b[2J", "\udcff", "a" * 1000]
)
def test_names_that_no_remote_can_hold_are_refused(s3_server: S3Server, tmp_path: Path, name: str) -> None:
    file = write_file(tmp_path / "a", 1)
    with opened("bucket", s3_server.url()) as remote:
        for call in (lambda: remote.create(name, b""), lambda: remote.read(name, 1), lambda: remote.remove(name),
                     lambda: remote.find_object(name), lambda: run(remote.upload(tmp_path / "a", name, file)),
                     lambda: run(remote.download(name, tmp_path / "b", file))):  # fmt: skip
            with pytest.raises(RemoteError, match="is no name"):
                call()


def test_foreign_keys_in_the_bucket_do_not_disturb_the_listing(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    for key in ("erp/", "erp/dir/", "erp/a//b", "erp//c", "erp/ok", "erp/dir/ok"):
        s3_server.client.put_object(Bucket=bucket, Key=key, Body=b"")
    with opened(bucket, s3_server.url()) as remote:
        assert [each.name for each in remote.list_objects()] == ["dir/ok", "ok"]


def test_two_at_once_send_the_same_file_and_it_is_whole(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 40 * MEBIBYTE)
    confirmed: list[Confirmation] = []

    def send() -> None:
        with opened(bucket, s3_server.url()) as remote:
            confirmed.append(run(remote.upload(tmp_path / "a", "a", file))[1])

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert confirmed == [Confirmation.CHECKSUM] * 2
    assert hashlib.sha256(s3_server.read(bucket, "erp/a")).hexdigest() == file.sha256
    assert s3_server.open_uploads(bucket) == []


def test_a_file_that_is_not_what_its_manifest_says_is_not_sent(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    for size in (MEBIBYTE, 20 * MEBIBYTE):
        file = write_file(tmp_path / "a", size)
        with (tmp_path / "a").open("r+b") as altered:
            altered.seek(size // 2)
            altered.write(b"!")
        with opened(bucket, s3_server.url()) as remote, pytest.raises(StorageError, match="SHA-256 differs"):
            run(remote.upload(tmp_path / "a", "a", file))
        os.truncate(tmp_path / "a", size - 1)
        with opened(bucket, s3_server.url()) as remote, pytest.raises(StorageError, match="bytes, its manifest says"):
            run(remote.upload(tmp_path / "a", "a", file))
        assert s3_server.keys(bucket) == {}
        assert s3_server.open_uploads(bucket) == []


def test_an_object_that_is_not_what_its_manifest_says_is_not_kept(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 3000)
    for data, words in ((b"short", "5 bytes instead of 3000"), (b"x" * 3000, "another SHA-256")):
        s3_server.client.put_object(Bucket=bucket, Key="erp/a", Body=data)
        with opened(bucket, s3_server.url()) as remote, pytest.raises(RemoteError, match=words):
            run(remote.download("a", tmp_path / "b", file))
        assert not (tmp_path / "b").exists()
    with opened(bucket, s3_server.url()) as remote, pytest.raises(RemoteError, match="holds no c"):
        run(remote.download("c", tmp_path / "b", file))


def test_without_credentials_it_is_said_which_to_set() -> None:
    with pytest.raises(ConfigError, match=r"AWS_ACCESS_KEY_ID.*access_key_id"):
        open_remote(s3_address("bucket"), s3_settings("http://127.0.0.1:1", access_key_id="", secret=None), {},
                    Cancellation())  # fmt: skip
