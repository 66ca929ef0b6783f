"""How fast a file goes into an S3 bucket beside the bare client (boto3's upload_file), in turns, to the same server.

Ours hashes the whole file against its manifest, and compares the server's checksum of every part with its own; the bare
client does neither. "sink" is a server that reads, computes the checksum that S3 promises, and forgets, first as fast
as a network of 1 Gbit/s would let it, then as fast as it can. "moto" is a server that keeps what it is sent. Where no
network is between, hashing takes the time, and nothing is promised. Each upload runs in a process of its own, which
also tells how much memory it took above what it had when it began. Run with `python -m tests.benchmarks.bench_upload`.
"""

import argparse
import hashlib
import json
import multiprocessing
import re
import resource
import secrets
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.registry import open_remote
from dbtui.model.backups import BackupFile
from dbtui.model.remotes import Confirmation
from tests.fix_remotes import KEY, KEY_ID, S3Server, s3_address, s3_settings
from tests.remote_files import MEBIBYTE, run, write_file

LEAST_RATIO = 0.9
MOST_MB = 100.0
GIGABIT = 1_000_000_000 // 8


class Line:
    """How much passes in a second, over all connections; 0: as much as can."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def pass_through(self, count: int) -> None:
        """Wait until so many bytes have passed."""
        if not self._rate:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() - 0.05) + count / self._rate
            wait = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait))


class Sink(socketserver.StreamRequestHandler):
    """Speaks as much of S3 as an upload needs."""

    disable_nagle_algorithm = True
    line = Line(0)

    def handle(self) -> None:  # the name is the standard library's
        buffer = bytearray(MEBIBYTE)
        while line := self.rfile.readline():
            method, target, _ = line.decode().split(" ", 2)
            headers = dict(self._headers())
            if "expect" in headers:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            etag = self._swallow(int(headers.get("content-length", 0)), memoryview(buffer))
            self._answer(method, target, etag)

    def _headers(self) -> Iterator[tuple[str, str]]:
        while (line := self.rfile.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()

    def _swallow(self, left: int, buffer: memoryview) -> str:
        hashed = hashlib.md5()
        while left and (count := self.rfile.readinto(buffer[: min(left, len(buffer))])):
            self.line.pass_through(count)
            hashed.update(buffer[:count])
            left -= count
        return hashed.hexdigest()

    def _answer(self, method: str, target: str, etag: str) -> None:
        status, body = "200 OK", b""
        if method == "POST" and re.search(r"\?uploads", target):
            body = b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>"
        elif method == "POST":
            body = b"<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"
        elif method == "GET":
            body = b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"
        elif method == "HEAD":
            status = "404 Not Found"
        head = f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nETag: "{etag}"\r\n\r\n'
        self.wfile.write(head.encode() + body)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def serve_sink(told: Connection, bytes_per_second: int) -> None:
    """Tell the port and serve for good."""
    Sink.line = Line(bytes_per_second)
    with _Server(("127.0.0.1", 0), Sink) as server:
        told.send(server.server_address[1])
        server.serve_forever()


@contextmanager
def sink(bytes_per_second: int = 0) -> Iterator[str]:
    """A sink in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve_sink, args=(there, bytes_per_second), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def upload_bare(url: str, bucket: str, path: Path) -> None:
    """What somebody's own script would do."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY_ID, aws_secret_access_key=KEY
    )
    client.upload_file(str(path), bucket, f"bare/{path.name}")


def upload_ours(url: str, bucket: str, path: Path, file: BackupFile) -> None:
    """What `backup push` does with each file."""
    remote = open_remote(s3_address(bucket, "ours"), s3_settings(url, timeout_seconds=60.0), {}, Cancellation())
    _, confirmation = run(remote.upload(path, secrets.token_hex(8), file))  # what is there is not sent again
    remote.close()
    assert confirmation is Confirmation.CHECKSUM


def run_one(who: str, url: str, bucket: str, path: Path, file: BackupFile) -> None:
    """In a process of its own: upload once, print the seconds and the memory it took, in MB."""
    import boto3  # so that neither has it counted

    del boto3
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, busy_before = time.perf_counter(), time.process_time()
    if who == "bare":
        upload_bare(url, bucket, path)
    else:
        upload_ours(url, bucket, path, file)
    seconds = time.perf_counter() - began
    busy = (time.process_time() - busy_before) / (file.size_bytes / 1e9)
    print(json.dumps([seconds, busy, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))


def measure(who: str, url: str, bucket: str, path: Path, file: BackupFile) -> tuple[float, float, float]:
    """Return the seconds, the seconds of CPU time per GB, and the MB of one upload."""
    options = ["--one", who, url, bucket, str(path), str(file.size_bytes), file.sha256]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_upload", *options], capture_output=True, check=True
    )
    seconds, busy, megabytes = json.loads(done.stdout)
    return seconds, busy, megabytes


def compare(name: str, url: str, bucket: str, path: Path, file: BackupFile, rounds: int) -> bool:
    """Upload in turns and print; return whether what is promised is held."""
    both = [(measure("bare", url, bucket, path, file), measure("ours", url, bucket, path, file)) for _ in range(rounds)]
    ratio = statistics.median(bare[0] / ours[0] for bare, ours in both)
    bare, ours = (statistics.median(pair[number][0] for pair in both) for number in (0, 1))
    memory = max(ours[2] for _, ours in both)
    speeds = [file.size_bytes / 1e6 / seconds for seconds in (bare, ours)]
    busy = [statistics.median(pair[number][1] for pair in both) for number in (0, 1)]
    print(f"{name:14} bare {speeds[0]:7.0f} MB/s   ours {speeds[1]:7.0f} MB/s   {ratio:5.2f} of its speed   "
          f"CPU {busy[0]:4.1f} and {busy[1]:4.1f} s/GB   ours took {memory:4.0f} MB", flush=True)  # fmt: skip
    return ratio >= LEAST_RATIO and memory <= MOST_MB


def main() -> int:
    """Compare on both servers. Returns 1 when a promise is not held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, url, bucket, path, size, sha256 = options.one
        run_one(who, url, bucket, Path(path), BackupFile(Path(path).name, int(size), sha256))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump"
        file = write_file(path, options.megabytes * MEBIBYTE)
        with sink(GIGABIT) as url:
            held = compare("sink, 1 Gbit/s", url, "bucket", path, file, options.rounds)
        with sink() as url:
            compare("sink", url, "bucket", path, file, options.rounds)
        server = S3Server()
        try:
            compare("moto", server.url(), server.make_bucket(), path, file, options.rounds)
        finally:
            server.stop()
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
