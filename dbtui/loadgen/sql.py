"""PostgreSQL clients that share one event loop: a connection each, one statement at a time, autocommitting."""

import asyncio
import signal
import time
from functools import partial

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, though its author spelt it small

from dbtui.loadgen.ending import Canceller
from dbtui.loadgen.protocol import end_soon
from dbtui.loadgen.reporting import Record
from dbtui.loadgen.running import Client, Load
from dbtui.loadgen.sql_errors import describe_postgresql
from dbtui.model.loadtest import GeneratorPlan, GeneratorSecrets

BUILT_IN = "SELECT 1"


def make_parameters(plan: GeneratorPlan, secrets: GeneratorSecrets) -> dict[str, str]:
    """Return libpq's parameters, password and all."""
    parameters = dict(plan.sql.parameters) if plan.sql is not None else {}
    if secrets.password is not None:
        parameters["password"] = secrets.password
    return parameters


async def run_postgresql(plan: GeneratorPlan, secrets: GeneratorSecrets) -> None:
    """Load a PostgreSQL server. A signal that ends cancels the statements that run there first."""
    parameters = make_parameters(plan, secrets)
    canceller = Canceller()
    make = partial(PostgresqlClient, parameters=parameters, canceller=canceller)
    load = Load(plan, Record(plan.request.slo_seconds), make, is_prepared=True)
    running = asyncio.ensure_future(load.run())

    def end() -> None:
        end_soon()
        running.cancel()

    load.loop.add_signal_handler(signal.SIGTERM, end)
    try:
        await running
    except asyncio.CancelledError:
        load.give_up_all("unfinished")
        raise SystemExit(1) from None
    finally:
        canceller.finish()


class PostgresqlClient(Client):
    """Runs the plan's statements in turn."""

    def __init__(self, load: Load, parameters: dict[str, str], canceller: Canceller) -> None:
        self.load = load
        self.began: float | None = None
        self._parameters = parameters
        self._canceller = canceller
        self._statements = load.plan.request.statements or (BUILT_IN,)
        self._next = 0
        self._connection: Connection | None = None
        self._is_ready = False
        self._watched = -1
        self._stage = 0
        self._intended = 0.0

    def prepare(self) -> None:
        """Connect. A failure shows when the connection is needed."""
        self._connect()

    def start(self, intended: float) -> None:
        """Send a statement; connect first when there is no connection."""
        self.began = time.monotonic()
        self._intended = intended
        self._stage = self.load.record.stage_number
        if self._is_ready:
            self._execute()
        elif self._connection is None:
            self.load.loop.call_soon(self._connect)

    def _connect(self) -> None:
        try:
            self._connection = psycopg2.connect(**self._parameters, async_=1)  # type: ignore[call-overload]
        except psycopg2.Error as error:
            self._lose(describe_postgresql(error))
            return
        self._go_on()

    def _execute(self) -> None:
        if self._connection is None:
            return
        statement = self._statements[self._next]
        self._next = (self._next + 1) % len(self._statements)
        try:
            self._cursor.execute(statement)
        except psycopg2.Error as error:
            self.load.loop.call_soon(self._lose, describe_postgresql(error))
            return
        if len(statement) > 8000:  # shorter ones have gone out whole
            self.load.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Something came, or the connection may be written to: let libpq go on."""
        connection = self._connection
        if connection is None:
            return
        try:
            state = connection.poll()
        except psycopg2.Error as error:
            self._fail(connection, error)
            return
        if state == POLL_OK and self._is_ready:
            if self.began is not None:
                self._answered("")
        elif state == POLL_OK:
            self._is_ready = True
            self._cursor = connection.cursor()
            self._watch(connection, is_written=False)
            if self.began is not None:
                self._execute()
        else:
            self._watch(connection, is_written=state != POLL_READ)

    def _watch(self, connection: Connection, *, is_written: bool) -> None:
        descriptor = connection.fileno()
        if self._watched not in (-1, descriptor):
            self._forget_descriptor()
        loop = self.load.loop
        if self._watched != descriptor:
            loop.add_reader(descriptor, self._go_on)
            self._watched = descriptor
        if is_written:
            loop.add_writer(descriptor, self._go_on)
        else:
            loop.remove_writer(descriptor)

    def _forget_descriptor(self) -> None:
        if self._watched >= 0:
            self.load.loop.remove_reader(self._watched)
            self.load.loop.remove_writer(self._watched)
            self._watched = -1

    def _answered(self, kind: str) -> None:
        self.load.record.answered(self._stage, self._intended, time.monotonic(), kind)
        self.began = None
        self.load.done(self)

    def _fail(self, connection: Connection, error: psycopg2.Error) -> None:
        kind = describe_postgresql(error)
        if self._is_ready and not connection.closed and error.pgcode:
            if self.began is not None:
                self._answered(kind)
            return
        self._lose(kind)

    def _lose(self, kind: str) -> None:
        self.close()
        if self.began is None:
            return
        self.load.record.failed(self._stage, self._intended, time.monotonic(), kind)
        self.began = None
        self.load.done_after_failure(self)

    def give_up(self, kind: str) -> None:
        """Stop waiting, and have the server stop working."""
        connection, self._connection = self._connection, None
        self._forget_descriptor()
        if connection is not None:
            self._canceller.cancel(connection, is_running=self._is_ready)
        self._is_ready = False
        self.load.record.failed(self._stage, self._intended, time.monotonic(), kind)
        self.began = None
        self.load.done(self)

    def close(self) -> None:
        """Close the connection."""
        self._forget_descriptor()
        self._is_ready = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
