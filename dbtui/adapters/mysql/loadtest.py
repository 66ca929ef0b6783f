"""How a load generator logs in to the server that a target has reached."""

from dataclasses import replace

import msgspec

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.addresses import look_up
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.model.connections import EngineName
from dbtui.model.loadtest import ReachedServer, SqlLogin


def collect_login(target: Target) -> ReachedServer:
    """Return a login like the target's own, with the server's address looked up already. Raises ConnectError.

    A server that has to prove its name is called by it: then the name is looked up again for each connection.
    """
    reached = narrow(target, MysqlTarget)
    options = reached.options
    address = options.socket or look_up(options.host, options.port)
    pinned = options if options.socket or options.tls.mode == "verify_identity" else replace(options, host=address)
    told = msgspec.json.encode(replace(pinned, password=None)).decode()
    return ReachedServer(
        login=SqlLogin(
            engine=EngineName.MYSQL, parameters=(("options", told),), is_read_only=reached.profile.read_only
        ),
        password=options.password,
        host=options.server if options.socket else options.host,
        address=address,
    )
