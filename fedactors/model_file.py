"""A model as a safetensors file, keyed by its tensors' names: what PyTorch and Hugging Face load as a state_dict."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.numpy
from safetensors import SafetensorError, safe_open

from fedactors.errors import ModelError
from fedactors.model import DTYPES, GlobalModel, Version, Weights

ORDER = "fedactors.order"
VERSION = "fedactors.version"


def save(model: GlobalModel, path: Path) -> None:
    """Write a model; the file is there whole or not at all.

    The file's metadata holds the version, and the tensors' order, which the format itself does not keep.

    Raises:
        ModelError: it cannot be written; the message names the file.
    """
    metadata = {VERSION: str(model.version), ORDER: json.dumps([tensor.name for tensor in model.layout.tensors])}
    unfinished = path.with_name(path.name + ".part")
    try:
        safetensors.numpy.save_file(dict(model.weights), unfinished, metadata=metadata)
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write {path}: {error}") from error


def version(path: Path) -> Version:
    """The version that a file says that it holds; 0 where it says nothing.

    Raises:
        ModelError: there is no such file, or it is none of safetensors.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return int((file.metadata() or {}).get(VERSION, 0))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error


def load(path: Path) -> Weights:
    """The tensors of a safetensors file, in the order in which they were saved where it is known.

    Raises:
        ModelError: there is no such file, or it is none of safetensors; the message names it.
    """
    try:
        weights = safetensors.numpy.load_file(path)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a dtype that numpy does not have
        raise ModelError(f"cannot read {path}: a tensor is of no dtype of {', '.join(DTYPES)} ({error})") from error
    order = _order(metadata.get(ORDER, "[]"))
    return {name: weights[name] for name in order} if set(order) == weights.keys() else weights


def _order(written: str) -> list[str]:
    """The tensors' names; none where somebody else wrote there what is no list of names."""
    try:
        order = json.loads(written)
    except (ValueError, RecursionError):
        return []
    return order if isinstance(order, list) and all(isinstance(name, str) for name in order) else []
