"""placeholder"""
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.model.events import Routine
def swap_database(target: MysqlTarget, live: str, fresh: str, kept: str) -> Routine[None]:
    yield from ()
