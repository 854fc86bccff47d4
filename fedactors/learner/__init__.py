"""The other side of the wire, light to install.

base      what a learner is: four methods; the context that it is made from
answers   a learner's methods called and their results checked; pure
trainee   a learner within its federation's scope; baggage: its tensors that stay with it; control: its control variates; pure
agenda    which tasks are held, at work and to be delivered; pure
client    joins a federation, serves its tasks and comes back after a loss
line      the connection as tasks see it; desk: one task at work; worker: the one thread in which user code runs
blame     a user's mistake in one line; parent: no orphans
proximal  FedProx's term, for learners that compute their own gradients
torch     a PyTorch module and its data as a learner
sklearn   a scikit-learn estimator and its data as a learner; estimators: which arrays of it travel
keras     a Keras 3 model and its data as a learner
flower    a Flower client, unchanged; flower_names: what of flwr it imports, where that is not installed
script    a script with receive and send, as in NVFlare; scripted: it at work as a learner
"""

from fedactors.learner.base import AnyWeights, Entry, Learner, LearnerContext, build_learner
from fedactors.learner.client import LearnerClient, Patience
from fedactors.learner.proximal import proximal_gradient
from fedactors.task import EvaluateParams, TrainParams

__all__ = [
    "AnyWeights",
    "Entry",
    "EvaluateParams",
    "Learner",
    "LearnerClient",
    "LearnerContext",
    "Patience",
    "TrainParams",
    "build_learner",
    "proximal_gradient",
]
