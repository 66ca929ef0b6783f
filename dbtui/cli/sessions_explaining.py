"""What `dbtui sessions explain` does: prints the plan of what a session runs, without running it."""

from dbtui.analysis.session_words import name_session
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.jobs import JobRequest
from dbtui.model.sessions import ExplainedSession
from dbtui.model.text import format_untrusted
from dbtui.routines.sessions import explain_numbered_session


def explain_session(*, target: str, session_id: int, as_json: bool) -> int:
    """Print the plan of a session's statement on stdout; whose it is, and the statement, are words on stderr."""
    invocation = Invocation.begin(as_json=as_json)
    profile = invocation.target(target)
    request: JobRequest[ExplainedSession] = JobRequest(
        routine="explain",
        target=profile.name,
        start=lambda c: explain_numbered_session(c, profile, session_id),
        changes=False,
    )
    found = invocation.result_of(request, profile)
    if as_json:
        print_document(target=profile.name, taken_at=found.taken_at, session=found.session, plan=found.plan)
        return exit_codes.DONE
    invocation.printer.say(f"session {name_session(found.session)}, {found.session.state}")
    for line in found.session.sql.splitlines():
        invocation.printer.say(f"  {line}")
    write_data("\n".join(format_untrusted(line) for line in found.plan.splitlines()))
    return exit_codes.DONE
