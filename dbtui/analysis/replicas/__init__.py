"""Judging replication: `track, assessment = advance(track, snapshot)`; once alone: `assess_replicas(snapshot)`."""

from dbtui.analysis.replicas.assessing import RANKS, advance, assess_replicas
from dbtui.analysis.replicas.thresholds import ReplicaThresholds
from dbtui.analysis.replicas.tracks import Track

__all__ = ["RANKS", "ReplicaThresholds", "Track", "advance", "assess_replicas"]
