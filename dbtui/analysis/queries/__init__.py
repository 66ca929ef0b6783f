"""Judging statements by their order: `Detector().feed(event)`, and `.findings()` whenever one wants to know."""

from dbtui.analysis.queries.detecting import Detector
from dbtui.analysis.queries.normalising import Normaliser

__all__ = ["Detector", "Normaliser"]
