"""A node in the middle of a federation that is a tree: a learner to its parent, a controller to its children.

terms     what a relay can stand in the middle of, and how a federation's configuration reads for it; pure
desk      a task of the parent's, worked off by the children
relay     the two sides in one process
"""

from fedactors.relay.relay import Relay

__all__ = ["Relay"]
