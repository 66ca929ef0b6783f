"""Looking for what a checksum cannot show: a missing end, statements that do more than a dump needs."""

import time

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.directory import open_dump
from dbtui.adapters.mysql.plain import UNKNOWN_END
from dbtui.adapters.mysql.statements import Judge
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import StoredBackup
from dbtui.model.events import Progressed, Routine, Warned

_SHOWN = 20
_TICK_SECONDS = 0.2


def check_archive(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    """Read the whole dump and judge every statement; return what is wrong, a sentence each. Nothing of it is run."""
    problems: list[str] = []
    next_tick = time.monotonic() + _TICK_SECONDS
    try:
        with open_dump(backup, cancellation) as dump:
            judge = Judge(source=dump.source)
            for statement in dump.statements():
                try:
                    dump.check(judge.judge(statement))
                except Refusal as refusal:
                    problems.append(f"{dump.name}, line {statement.line}: {refusal.message}")
                if len(problems) >= _SHOWN:
                    break
                if time.monotonic() >= next_tick:
                    yield Progressed(dump.raw_bytes, dump.expected_bytes, "bytes")
                    next_tick = time.monotonic() + _TICK_SECONDS
            if len(problems) < _SHOWN and (missing := dump.describe_missing_end(judge)):
                problems.append(f"{dump.name} {missing}")
            elif not dump.head.is_known and not judge.has_settled:
                yield Warned(f"{dump.name} {UNKNOWN_END}")
            expected = backup.manifest.uncompressed_bytes if backup.manifest else None
            if not problems and expected is not None and expected != dump.raw_bytes:
                problems.append(f"{dump.name} has {dump.raw_bytes} bytes of text instead of {expected}")
    except DamagedBackupError as error:
        problems.append(error.message)
    return tuple(problems)
