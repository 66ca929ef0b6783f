"""What pgBackRest says in words: how far a restore is, and what a verification found."""

import re
from collections.abc import Sequence

from dbtui.errors import ToolError
from dbtui.model.repositories import RepositoryBackup, RepositoryCheckup

#: "restore file /srv/pg/base/5/1255 (768KB, 3.42%) checksum adb7…": restore.c, at the log level detail.
_PERCENT = re.compile(r" restore .*\(\d+(?:\.\d+)?[KMGTP]?B, (\d+(?:\.\d+)?)%\)")
_STATUS = re.compile(r"\s*status: (\S+)")
_ARCHIVE = re.compile(r"\s*archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)")
_BACKUP = re.compile(r"\s*backup: (\S+), status: ([^,]+), total files checked: (\d+), total valid files: (\d+)")
#: What it counts below both of them; those that are 0 say nothing.
_COUNT = re.compile(r"(missing|checksum invalid|size invalid|other): (\d+)")


def percent_of(line: str) -> float | None:
    """Return how far a restore is, as a fraction, from a line of its log; None: the line does not say."""
    found = _PERCENT.search(line)
    return min(1.0, float(found[1]) / 100) if found else None


def checkup_of(backup: RepositoryBackup, lines: Sequence[str]) -> RepositoryCheckup:
    """Return what `verify --output=text --verbose` says of a backup and of its WAL.

    Raises ToolError when it says nothing of them.
    """
    checked, problems = [], []
    is_known = False
    for number, line in enumerate(lines):
        if found := _BACKUP.match(line):
            if found[1] == backup.label:
                is_known = True
                checked.append(f"the checksum and size of {found[3]} files, those of the backups it needs included")
                if found[2].strip() != "valid" or found[3] != found[4]:
                    problems.append(_damage(f"{found[4]} of {found[3]} files are good", lines[number + 1 :], found[2]))
        elif (found := _ARCHIVE.match(line)) and found[1] == (backup.archive or found[1]):
            checked.append(f"the checksum and size of {found[2]} segments of WAL")
            if found[2] != found[3]:
                problems.append(_damage(f"{found[3]} of {found[2]} segments of WAL are good", lines[number + 1 :]))
    if not is_known:
        said = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        raise ToolError(
            f"{backup.reference}: pgbackrest verify says nothing of it: {said}",
            "see dbtui backup list for the backups that are there",
        )
    return RepositoryCheckup(checked=tuple(checked), problems=tuple(problems))


def _damage(text: str, after: Sequence[str], status: str = "") -> str:
    """The sentence, with the counts of the line that follows."""
    counts = [f"{kind}: {count}" for kind, count in _COUNT.findall(after[0] if after else "") if count != "0"]
    words = ", ".join(counts) or status.strip()
    return f"{text} ({words})" if words and words != "valid" else text
