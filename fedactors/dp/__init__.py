"""Differential privacy: what is clipped, which noise is added, and what has been spent. Pure.

    noise       Gaussian noise from a secure generator
    clipping    how the clip norm follows the norms, without telling them
    accountant  from rounds, noise and sampling to epsilon, and back to the noise
    budget      how much a federation has spent, and whether another round fits
    local       a learner that clips and adds noise itself

`fedactors.aggregation.private` is the rule that does it at the controller.
"""
