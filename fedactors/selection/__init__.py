"""Who takes part in a round: pure policies, one a file.

    base             the interface: Selection;  candidate: a learner as policies see it
    pool             idle learners, of whom one is chosen at each update: Pool, Queue, Urn;  weights: drawn by weight
    everyone         every learner that is here
    uniform          a fraction or a number of them, drawn without replacement
    round_robin      a number of them, in turn
    by_tag           those that declared certain tags
    power_of_choice  of some that are drawn, those on which the model is worst
    oort             those whose data still teaches most, and fast;  oort_pool: one at a time

A new policy is one file here and one entry point in the group `fedactors.selection`;
`fedactors.testing.check_selection` tests it.
"""

from fedactors.selection.base import Candidate, Pool, Selection

__all__ = ["Candidate", "Pool", "Selection"]
