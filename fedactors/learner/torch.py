"""A PyTorch module and its data as a learner.

    def learner(context):
        train, test = my_data(context.index)
        return TorchLearner(MyModule(), train, test, optimiser=partial(torch.optim.Adam, lr=1e-3))

The module's whole state_dict is federated, buffers included (batch-norm statistics and counters), each tensor in its own dtype:
bfloat16 and float16 travel as they are. The optimiser begins anew with each training task, as its state belongs to weights that
the federation has since replaced. A task's `proximal_mu` and `correction` are obeyed on the parameters, not on buffers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from fedactors.errors import ExtraMissing, LayoutMismatch, LearnerFailed
from fedactors.learner.base import Learner
from fedactors.model import DTYPES, Array, Layout, Weights
from fedactors.task import EvaluateParams, TrainParams

try:
    import torch
except ModuleNotFoundError as error:
    raise ExtraMissing("fedactors.learner.torch", "torch", "torch") from error
from torch import nn
from torch.utils.data import DataLoader, Dataset

Batch: TypeAlias = "tuple[torch.Tensor, ...]"
BatchMetrics: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], Mapping[str, Any]]"

_RANDOM = threading.Lock()
"""torch's global generator feeds dropout and samplers: it belongs to one learner of this process at a time, or no run repeats."""


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> Mapping[str, Any]:
    """The share of rows whose largest output is the target's class; nothing where the targets are no classes."""
    if outputs.ndim != targets.ndim + 1 or targets.is_floating_point():
        return {}
    return {"accuracy": (outputs.argmax(1) == targets).double().mean()}


default_optimiser = partial(torch.optim.SGD, lr=0.01)


class TorchLearner(Learner):
    """An nn.Module, its data, a loss and an optimiser.

    Args:
        model: trained in place.
        train: a Dataset of (input..., target), shuffled anew with each task's seed and an incomplete last batch left out; or a
            DataLoader, used as it is.
        test: likewise, in order; None: nothing to evaluate on.
        loss: of outputs and targets, averaged over the batch.
        optimiser: makes one from the parameters. A task's `learning_rate`, where it has one, is set on it.
        metrics: of one batch's outputs and targets; averaged over the batches by their examples.
        batch_size: of a Dataset, where the task has none.
        device: where the model computes.
        num_threads: of torch in this process; None: left as it is. Learners that share a machine should share its cores.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Dataset[Any] | DataLoader[Any],
        test: Dataset[Any] | DataLoader[Any] | None = None,
        *,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = nn.functional.cross_entropy,
        optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = default_optimiser,
        metrics: BatchMetrics = accuracy,
        batch_size: int = 32,
        device: torch.device | str = "cpu",
        num_threads: int | None = None,
    ) -> None:
        self.model = model.to(device)
        self.loss, self.optimiser, self.metrics = loss, optimiser, metrics
        self.batch_size, self.device = batch_size, device
        self._train, self._test = train, test
        self.num_train_examples, self.num_test_examples = _examples(train), _examples(test)
        if num_threads is not None:
            torch.set_num_threads(num_threads)

    @override
    def get_weights(self) -> Weights:
        return {name: to_numpy(tensor) for name, tensor in self._state().items()}

    @override
    def set_weights(self, weights: Weights) -> None:
        state = self._state()
        difference = Layout.of(weights).difference({name: to_numpy(tensor) for name, tensor in state.items()})
        if difference is not None:
            raise LayoutMismatch(f"the module does not fit the global model: {difference}")
        for name, tensor in state.items():
            copy_into(tensor, weights[name])

    @override
    def train(self, weights: Weights, params: TrainParams) -> tuple[Weights, Mapping[str, Any]]:
        self.set_weights(weights)
        loader = self._loader(self._train, params.batch_size, shuffled_by=params.seed)
        if not len(loader):
            raise LearnerFailed("there is no training data")
        steps = params.steps or max(1, round(params.epochs * len(loader)))
        tally, began = _Tally(), time.perf_counter()
        with _random_from(params.seed):
            step_length = self._take_steps(islice(_endless(loader), steps), params, tally)
        ms_per_batch = (time.perf_counter() - began) * 1000.0 / steps
        return self.get_weights(), {
            **tally.means(),
            "num_examples": min(tally.examples, self.num_train_examples),
            "num_batches": steps,
            "epochs": steps / len(loader),
            "ms_per_batch": ms_per_batch,
            "ms_per_epoch": ms_per_batch * len(loader),
            **step_length,
        }

    @override
    def evaluate(self, weights: Weights, params: EvaluateParams) -> Mapping[str, Any]:
        self.set_weights(weights)
        self.model.eval()
        tally = _Tally()
        if self._test is not None:
            with _random_from(params.version), torch.inference_mode():
                for batch in self._loader(self._test, None, shuffled_by=None):
                    self._loss_of(batch, tally)
        return tally.means() | {"num_examples": tally.examples}

    def _take_steps(self, batches: Iterable[Batch], params: TrainParams, tally: _Tally) -> Mapping[str, float]:
        """Train; the steps' length, where control variates follow from it."""
        optimiser = self.optimiser(self.model.parameters())
        if params.learning_rate is not None:
            for group in optimiser.param_groups:
                group["lr"] = params.learning_rate
        pull = _Pull(self.model, params)
        self.model.train()
        for batch in batches:
            optimiser.zero_grad()
            self._loss_of(batch, tally).backward()
            pull.add_to_gradients()
            optimiser.step()
        lengths = {group["lr"] for group in optimiser.param_groups} if params.correction else set()
        return {"learning_rate": float(lengths.pop())} if len(lengths) == 1 else {}

    def _loss_of(self, batch: Batch, tally: _Tally) -> torch.Tensor:
        *inputs, targets = (part.to(self.device) for part in batch)
        outputs = self.model(*inputs)
        loss = self.loss(outputs, targets)
        tally.add(len(targets), {"loss": loss.detach(), **self.metrics(outputs.detach(), targets)})
        return loss

    def _state(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self.model.state_dict().items() if isinstance(value, torch.Tensor)}

    def _loader(self, data: Any, batch_size: int | None, *, shuffled_by: int | None) -> DataLoader[Any]:
        if isinstance(data, DataLoader) and batch_size is None:
            if data.generator is not None and shuffled_by is not None:
                data.generator.manual_seed(shuffled_by)
            return data
        dataset, collate = (data.dataset, data.collate_fn) if isinstance(data, DataLoader) else (data, None)
        generator = torch.Generator().manual_seed(shuffled_by or 0)
        size, shuffled = batch_size or self.batch_size, shuffled_by is not None
        whole = shuffled and len(dataset) >= size  # a last batch of one example is a wild step, and batch norm refuses it
        return DataLoader(dataset, size, shuffle=shuffled, drop_last=whole, collate_fn=collate, generator=generator)


class _Pull:
    """What a task adds to a trained parameter's gradient: its correction, and mu (w - anchor), the anchor being w as it is now.

    A parameter without a gradient in a step gets this one, as it would if the terms stood in the loss.
    """

    def __init__(self, model: nn.Module, params: TrainParams) -> None:
        self._mu, corrections = params.proximal_mu, params.correction or {}
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._anchors = [(parameter, parameter.detach().clone()) for _, parameter in named] if self._mu else []
        corrected = [(parameter, corrections[name]) for name, parameter in named if name in corrections]
        self._corrections = [(parameter, _like(parameter, array)) for parameter, array in corrected]

    def add_to_gradients(self) -> None:
        for parameter, anchor in self._anchors:
            _add_to_gradient(parameter, (parameter.detach() - anchor).mul_(self._mu))
        for parameter, correction in self._corrections:
            _add_to_gradient(parameter, correction.clone())


def _like(parameter: nn.Parameter, array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array)).to(parameter.device, parameter.dtype)


def _add_to_gradient(parameter: nn.Parameter, term: torch.Tensor) -> None:
    """Make the term the gradient, after the gradient was added to it."""
    parameter.grad = term if parameter.grad is None else term.add_(parameter.grad)


class _Tally:
    """Means over batches, weighted by their examples."""

    def __init__(self) -> None:
        self.examples = 0
        self._sums: dict[str, float] = {}

    def add(self, examples: int, metrics: Mapping[str, Any]) -> None:
        self.examples += examples
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value) * examples

    def means(self) -> dict[str, float]:
        return {name: total / self.examples for name, total in self._sums.items()}


def to_numpy(tensor: torch.Tensor) -> Array:
    """The tensor's values as an array of the same dtype; a view where the tensor is contiguous and on the CPU."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype is torch.bfloat16:  # numpy has no bfloat16 of its own: the same bits, seen as integers on the way
        array: Array = tensor.view(torch.uint16).numpy().view(DTYPES["bfloat16"])
    else:
        array = tensor.numpy()
    return array


def to_tensor(array: Array) -> torch.Tensor:
    """A tensor on the CPU with a copy of the array's values, in its dtype."""
    copy = np.array(array)
    if copy.dtype == DTYPES["bfloat16"]:
        return torch.from_numpy(copy.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(copy)


def copy_into(tensor: torch.Tensor, array: Array) -> None:
    """Copy an array of the tensor's shape and dtype into it, wherever it lives."""
    if tensor.device.type == "cpu" and tensor.is_contiguous():
        np.copyto(to_numpy(tensor), array, casting="no")
    elif tensor.dtype is torch.bfloat16:
        tensor.detach().copy_(torch.from_numpy(np.array(array.view(np.uint16))).view(torch.bfloat16))
    else:
        tensor.detach().copy_(torch.from_numpy(np.array(array)))


def _examples(data: Any) -> int:
    if data is None:
        return 0
    return len(data.dataset if isinstance(data, DataLoader) else data)


def _endless(loader: DataLoader[Any]) -> Iterator[Batch]:
    while True:
        yield from loader


@contextmanager
def _random_from(seed: int) -> Iterator[None]:
    """Draw from torch's global generator as seeded, alone in this process, and leave it as it was."""
    with _RANDOM, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
