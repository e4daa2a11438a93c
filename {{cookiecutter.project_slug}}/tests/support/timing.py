"""Whether two kinds of request can be told apart by the time they take."""

from collections.abc import Sequence


def rank_statistic(one: Sequence[float], other: Sequence[float]) -> float:
    """Mann-Whitney's U over the number of pairs: how often `one` is below `other`. One half: nobody can tell."""
    below = sum((mine < theirs) + (mine == theirs) / 2 for mine in one for theirs in other)
    return below / (len(one) * len(other))
