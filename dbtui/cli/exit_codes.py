"""Exit codes, published in the README: scripts rely on them."""

from dbtui.model.exit_codes import CANNOT_CONNECT as CANNOT_CONNECT
from dbtui.model.exit_codes import DONE as DONE
from dbtui.model.exit_codes import FAILED as FAILED
from dbtui.model.exit_codes import FOUND_SOMETHING as FOUND_SOMETHING
from dbtui.model.exit_codes import INTERRUPTED as INTERRUPTED
from dbtui.model.exit_codes import LOCKED as LOCKED
from dbtui.model.exit_codes import PARTLY_DONE as PARTLY_DONE
from dbtui.model.exit_codes import REFUSED as REFUSED
from dbtui.model.exit_codes import USAGE as USAGE
from dbtui.model.exit_codes import exit_code_of as exit_code_of
from dbtui.model.exit_codes import exit_code_of_state as exit_code_of_state
