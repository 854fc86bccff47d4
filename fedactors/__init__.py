"""fedactors: an asyncio actor-system runtime for federated learning.

cli                 the command line
dashboard           a run on a web page
hosting             many federations in one process
driver   observe    starting, watching and saving runs · logs, live display, reports, figures
relay               the middle of a federation that is a tree
system   sharing    a federation from its configuration: what you embed · what several have in common
config   plugins    the configuration · finding plug-ins by name
actors              controller, scheduler, aggregator, model store, learner proxies, gateway
learner             the learner's side of the wire
protocol            what controller and learners say to each other
scheduling          when: pure state machines
selection           who: pure
aggregation         how: pure
privacy  dp         updates that the controller cannot read · versions that tell of nobody
compression  form   updates in fewer bytes · the form in which an update travels
storage  journal    where models live · what must not be forgotten
access              who may do what: tokens, certificates, roles, the audit log
transport           frames of bytes from process to process
stop                until when
record   task       what a run leaves behind · what is asked of a learner
scope    variates   which tensors travel · control variates in a model
model    model_file the model's values · as a file
runtime             the actor kernel; not a word of federated learning
errors              every error
testing             for your tests and ours
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedactors.config import Config
    from fedactors.errors import FedactorsError
    from fedactors.learner import Learner, LearnerContext
    from fedactors.model import GlobalModel, Weights
    from fedactors.record import Event, Results
    from fedactors.sharing import Sharing
    from fedactors.system import Federation
    from fedactors.task import EvaluateParams, TrainParams

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "EvaluateParams": "task",
    "Event": "record",
    "FedactorsError": "errors",
    "Federation": "system",
    "GlobalModel": "model",
    "Learner": "learner",
    "LearnerContext": "learner",
    "Results": "record",
    "Sharing": "sharing",
    "TrainParams": "task",
    "Weights": "model",
}
"""The public names, by the module that defines them; imported when first used, so that a learner loads only its own side."""

__all__ = [
    "Config",
    "EvaluateParams",
    "Event",
    "FedactorsError",
    "Federation",
    "GlobalModel",
    "Learner",
    "LearnerContext",
    "Results",
    "Sharing",
    "TrainParams",
    "Weights",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fedactors' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fedactors.{_HOMES[name]}"), name)
