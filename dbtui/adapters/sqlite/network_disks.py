"""Whether a file lies on a network disk, on which SQLite's locks cannot be relied on (https://sqlite.org/faq.html#q5)."""

from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "virtiofs",
    ]
)


def network_disk(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the network disk that holds `path`, empty if it is a local one or unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        real = path.resolve()
    except (OSError, RuntimeError):
        return ""
    best, kind = -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        words, types = fields.split(), rest.split()
        if len(words) < 5 or not types:
            continue
        mount = Path(_unescape(words[4]))
        if real.is_relative_to(mount) and len(mount.parts) >= best:  # a later mount lies over an earlier one
            best, kind = len(mount.parts), types[0]
    return kind if kind in _NETWORK else ""


def _unescape(text: str) -> str:
    r"""Undo the \040 and the like of proc(5)."""
    for code, sign in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, sign)
    return text
