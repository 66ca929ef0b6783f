"""Who is in the way of changing a table: holders of its metadata lock."""

from collections.abc import Collection

from dbtui.adapters.lock_patience import LockHolder
from dbtui.adapters.mysql.blocking import ask_for_locks
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.probes import gap_without_process, probes_of
from dbtui.adapters.mysql.session_text import decode_text, format_client
from dbtui.model.backups import TableName


def collect_table_holders(target: MysqlTarget, table: TableName, own: Collection[int]) -> tuple[LockHolder, ...]:
    """Return who holds a metadata lock on a table; where the server does not tell, who has a transaction open."""
    transactions = probes_of(target).collect("transactions_now", gap_without_process(target)) or ()
    known = ask_for_locks(target, "metadata_waits_mariadb") if target.is_mariadb else ()
    holding = {
        lock.session for lock in known if (lock.schema, lock.name) == (table.schema, table.name) and not lock.is_wanted
    }
    is_told = target.is_mariadb and "metadata_waits_mariadb" not in probes_of(target).refused
    found = {int(row["id"]): row for row in transactions if not is_told or int(row["id"]) in holding}
    doubt = "" if is_told else ", which may have touched it"
    return tuple(
        LockHolder(
            number,
            f"{decode_text(row['user'])} from {format_client(decode_text(row['host']))}{doubt}",
            max(0.0, float(row["seconds"] or 0)),
            "idle" if row["command"] == "Sleep" else decode_text(row["info"] or b""),
        )
        for number, row in found.items()
        if number not in own
    )
