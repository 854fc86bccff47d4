"""The configuration's tables that name plug-ins: who trains, and when; how updates are combined; where models live."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fedactors.config.table import Options, Positive, Table, without_none

SHARDS_MAX = 1_000
RULE_OF = {"asynchronous": "fedasync", "buffered": "fedbuff"}
"""The rule that goes with a protocol, where the configuration names none; with any other protocol, fedavg."""
WEIGHTING_OF = {"fedbuff": "participants"}
"""The weighting that goes with a rule, where the configuration names none; with any other rule, examples."""


class ProtocolTable(Table):
    """When learners train and when their updates are combined.

    Attributes:
        name: a scheduling protocol.
        options: of this protocol.
    """

    name: str = "synchronous"
    options: Options = {}


class SelectionTable(Table):
    """Who takes part in a round.

    Attributes:
        policy: a selection policy.
        options: of this policy.
    """

    policy: str = "everyone"
    options: Options = {}


class AggregationTable(Table):
    """How updates become a new global model.

    Attributes:
        rule: an aggregation rule. Where none is named, fedasync with the protocol asynchronous, fedbuff with buffered, and
            fedavg with any other, or where secure.method is given.
        weighting: what an update's share in the combination is proportional to: examples, batches, participants (all alike) or
            metric:NAME, a metric that learners report with their training. Where none is named, participants with fedbuff,
            whose paper takes the plain mean, and with central differential privacy, and examples with any other rule.
        combine: the rule that makes one update of the round's, where `rule` is a server optimiser; fedavg where it is not given.
        clip_norm: how far, as a Euclidean norm, an update may go from the version that it started from; what goes farther is
            shortened.
        discount: how much less a stale update counts: constant (no less), polynomial or hinge.
        deterministic: give the same bits whatever the order of arrival. On where a seed is given, off where it is drawn.
        refuse_not_finite: refuse an update that holds NaN or an infinity.
        shards: contiguous stretches that the model is combined in, one by one, for models of which the controller should not hold
            more than two; with more than one, updates wait in files until their round is combined. The bits are the same.
        shards_dir: the directory of those files, which have no names and go with the process; where it is not given, the run's
            directory, or the system's for temporary files. One that is in memory, as /tmp may be, saves nothing.
        options: of this rule.
        combine_options: of the rule that `combine` names.
        discount_options: of this discount.
    """

    rule: str = "fedavg"
    weighting: str = "examples"
    combine: str | None = None
    clip_norm: Positive | None = None
    discount: str = "constant"
    deterministic: bool = False
    refuse_not_finite: bool = True
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = 1
    shards_dir: str | None = None
    options: Options = {}
    combine_options: Options = {}
    discount_options: Options = {}


class StoreTable(Table):
    """Where the global models live.

    Attributes:
        url: scheme://place; the scheme is the model store's name, a place is handed to it as its option `place`. Without one,
            `fedactors up` keeps models in its run directory, up to 10 GiB of them, and everybody else keeps four in memory.
        options: of this store.
    """

    url: str | None = None
    options: Options = {}


def settled_aggregation(aggregation: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """[aggregation] with what goes with the tables around it where it does not say: its rule, weighting and determinism.

    Args:
        aggregation: as written.
        given: the whole configuration as written; nothing in it is checked yet.
    """
    is_secure, is_central = _said(given, "secure", "method") is not None, _said(given, "dp", "mechanism") == "central"
    rule = "fedavg" if is_secure else RULE_OF.get(str(_said(given, "protocol", "name")), "fedavg")
    settled = {"rule": rule, "deterministic": given.get("seed") is not None, **without_none(aggregation)}
    combines = str(settled.get("combine", settled["rule"]))
    return {"weighting": WEIGHTING_OF.get(combines, "participants" if is_central else "examples"), **settled}


def _said(given: dict[str, Any], table: str, key: str) -> Any:
    found = given.get(table)
    return found.get(key) if isinstance(found, dict) else None
