"""Judging the saturation ladder: `track, assessment = advance(track, snapshot)`; and the fleet before a test."""

from dbtui.analysis.pools.fleet import assess_fleet
from dbtui.analysis.pools.fleet_settings import format_pgbouncer_ini
from dbtui.analysis.pools.ladders import advance, assess_pools
from dbtui.analysis.pools.thresholds import Thresholds
from dbtui.analysis.pools.tracks import Track

__all__ = ["Thresholds", "Track", "advance", "assess_fleet", "assess_pools", "format_pgbouncer_ini"]
