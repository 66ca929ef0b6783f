"""The process of a PgBouncer that runs on this machine: which one it is, and the CPU time it has used.

PgBouncer has one thread, so that its CPU time says how near it is to what it can do at all. Its console does not tell
its process number; the kernel tells whose socket is at the other end, also to those who may not look into processes.
"""

import ipaddress
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, though its author spelt it small

_CREDENTIALS = struct.Struct("3i")
_NAME = "pgbouncer"
_PROC = Path("/proc")


def peer_credentials(of: Connection) -> tuple[int, int]:
    """Return process and user at the other end of a unix socket, as the kernel knows them."""
    with socket.socket(fileno=os.dup(of.fileno())) as wire:
        told = wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(told)
    return process, user


def find_process(of: Connection) -> int | None:
    """Return the process number of the PgBouncer at the other end, if it runs on this machine and one can tell."""
    owner: int | None
    if of.info.host.startswith(("/", "@")):
        process, owner = peer_credentials(of)
        if process > 0 and _is_pgbouncer(process):
            return process
    else:
        owner = _owner_of_peer(of)
    if owner is None:
        return None
    mine = [process for process in _pgbouncers() if _owner_of(process) == owner]
    return mine[0] if len(mine) == 1 else _holder_of_port(mine, of)


def collect_cpu_seconds(process: int | None) -> float | None:
    """Return the CPU time that the process has used; None when there is no such PgBouncer any more."""
    if process is None or not _is_pgbouncer(process):
        return None
    try:
        fields = (
            (_PROC / str(process) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pgbouncers() -> list[int]:
    try:
        return [int(each.name) for each in _PROC.iterdir() if each.name.isdecimal() and _is_pgbouncer(int(each.name))]
    except OSError:
        return []


def _is_pgbouncer(process: int) -> bool:
    try:
        return (_PROC / str(process) / "comm").read_text(encoding="utf-8", errors="replace").strip() == _NAME
    except OSError:
        return False


def _owner_of(process: int) -> int | None:
    try:
        return (_PROC / str(process)).stat().st_uid
    except OSError:
        return None


def _owner_of_peer(of: Connection) -> int | None:
    """The user of the socket at the other end of a TCP connection, if that socket is of this machine."""
    with socket.socket(fileno=os.dup(of.fileno())) as wire:
        ours, theirs = _hexed(wire.getsockname()), _hexed(wire.getpeername())
        is_six = wire.family == socket.AF_INET6
    return next((int(each[7]) for each in _tcp_sockets(is_six) if (each[1], each[2]) == (theirs, ours)), None)


def _tcp_sockets(is_six: bool) -> list[list[str]]:
    """The fields of /proc/net/tcp: address here, address there, ..., user, ..., inode."""
    try:
        lines = (_PROC / "net" / ("tcp6" if is_six else "tcp")).read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    return [line.split() for line in lines[1:]]


def _hexed(address: tuple[Any, ...]) -> str:
    """An address as /proc/net/tcp writes it: words in the machine's byte order, then the port."""
    packed = ipaddress.ip_address(str(address[0]).partition("%")[0]).packed
    words = (packed[index : index + 4] for index in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{int(address[1]):04X}"


def _holder_of_port(processes: list[int], of: Connection) -> int | None:
    """Which of several of the same account it is; only their account and root may look."""
    port = f":{of.info.port:04X}"
    inodes = {f"socket:[{each[9]}]" for six in (False, True) for each in _tcp_sockets(six) if each[1].endswith(port)}
    for process in processes:
        descriptors = _PROC / str(process) / "fd"
        try:
            held = {str(each.readlink()) for each in descriptors.iterdir()}
        except OSError:
            continue
        if held & inodes:
            return process
    return None
