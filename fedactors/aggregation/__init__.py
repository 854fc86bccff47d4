"""How updates become a new global model.

    base       the interface: Contribution, Fold, Rule
    weighting  an update's factor, from what its learner reports
    ordered    any rule, with the same bits whatever the order of arrival
    fedavg     the weighted mean
    _kernels   the arithmetic, in blocks that stay in cache

A staleness discount multiplies the factor before a contribution is made; its place is `discount`, beside `weighting`.
A new rule is one file here and one entry point in the group `fedactors.aggregation`; `fedactors.testing.check_rule` tests it.
"""

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.discount import Constant, Discount
from fedactors.aggregation.ordered import Ordered
from fedactors.aggregation.weighting import Weighting

__all__ = ["Constant", "Contribution", "Discount", "Fold", "Ordered", "Rule", "Weighting"]
