"""The world without servers, and the pseudo-terminal."""

from pathlib import Path

import pytest

from tests.tui.fix_pty import start_ui
from tests.tui.world import World, make_world

__all__ = ["start_ui"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Targets, backups and plans without servers."""
    return make_world(tmp_path, monkeypatch)
