"""Who takes part in a round: pure policies, one a file.

    base             the interface: Candidate, Selection
    everyone         every learner that is here
    uniform          a fraction or a number of them, drawn without replacement
    round_robin      a number of them, in turn
    by_tag           those that declared certain tags
    power_of_choice  of some that are drawn, those on which the model is worst
    oort             those whose data still teaches most, and fast

A new policy is one file here and one entry point in the group `fedactors.selection`;
`fedactors.testing.check_selection` tests it.
"""

from fedactors.selection.base import Candidate, Selection

__all__ = ["Candidate", "Selection"]
