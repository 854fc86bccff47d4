"""What is written down of a version, from the record of the round that it came of. Pure."""

from __future__ import annotations

from datetime import datetime

from fedactors.record import RoundRecord
from fedactors.storage.entries import Facts


def of_round(record: RoundRecord) -> Facts:
    """Where a version came from and how good it is.

    Returns:
        `round`; `committed_unix_s`, seconds since 1970; `metrics` of its evaluation; `totals` of the round's learners; and
        `contributors`, `num_examples` and `staleness` of each whose update counts, unless they are too many to be told of.
    """
    facts = {
        "round": record.round,
        "committed_unix_s": datetime.fromisoformat(record.started_at).timestamp() + record.duration_s,
        "metrics": dict(record.metrics),
        "totals": record.totals.to_map(),
    }
    contributors = {
        learner: {"num_examples": part.examples, "staleness": part.staleness}
        for learner, part in record.learners.items()
        if part.contributed
    }
    return facts | {"contributors": contributors} if contributors else facts
