"""How a load generator logs in to the server that a target has reached."""

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.model.connections import EngineName
from dbtui.model.loadtest import ReachedServer, SqlLogin

APPLICATION_NAME = "dbtui bench"


def collect_login(target: Target) -> ReachedServer:
    """Return a login like the target's own, with the server's address looked up already. Raises UsageError."""
    reached = narrow(target, PostgresqlTarget)
    reached.check_database()
    parameters, password = reached.login_parameters()
    parameters["application_name"] = APPLICATION_NAME
    return ReachedServer(
        login=SqlLogin(
            engine=EngineName.POSTGRESQL,
            parameters=tuple(sorted(parameters.items())),
            is_read_only=reached.profile.read_only,
        ),
        password=password,
        host=parameters["host"],
        address=parameters.get("hostaddr", parameters["host"]),
        is_pooled=reached.is_pooled,
    )
