"""How updates become a new global model.

    base        the interface: Contribution, Fold, Rule; state: what a Fold keeps from round to round
    weighting   an update's factor, from what its learner reports; discount: from its staleness
    roll        who is in the open round, and why it cannot be combined
    wrapping    a rule around a rule: ordered, clipped, frozen, server
    ordered     any rule, with the same bits whatever the order of arrival
    clipped     any rule, over updates of bounded norm
    private     fedavg and fedbuff with central differential privacy
    frozen      any rule, over the part of the model that is not frozen

    fedavg, fedstride, fednova                     one round, folded as it comes
    fedasync, fedbuff, fedrec                      stale updates and updates of earlier rounds
    scaffold                                       control variates on both sides
    fedavgm, fedadagrad, fedyogi, fedadam          steps along what another rule combines: server, adaptive, widened
    median, trimmed_mean, krum, multi_krum,
    bulyan, geometric_median                       robust; they need all updates of a round: kept

    ckks_sum                                       sums of ciphertexts; the table [secure] puts it in fedavg's place

    _kernels    means in blocks that stay in cache; _running: for as long as a federation runs
    _order      order statistics of rows; _distance: distances between rows
    lanes       who works on the blocks; _scratch: in what memory

A new rule is one file here and one entry point in the group `fedactors.aggregation`; `fedactors.testing.check_rule` tests it.
"""

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.discount import Constant, Discount
from fedactors.aggregation.ordered import Ordered
from fedactors.aggregation.state import FoldState
from fedactors.aggregation.weighting import Weighting

__all__ = ["Constant", "Contribution", "Discount", "Fold", "FoldState", "Ordered", "Rule", "Weighting"]
