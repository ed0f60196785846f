"""PyTorch tensors and state dicts as safetensors; they are loaded to the CPU.

Of a tensor its values, dtype, shape and ``requires_grad`` are kept, and whether it is a Parameter;
not its device, its gradient or its strides.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch

from levada.artifact import MaterializerError
from levada.previews.models import show_tensors
from levada.trees.classes import type_name

if TYPE_CHECKING:
    from levada.materializers import Sink, Source

_TENSOR = "tensor"


class TensorMaterializer:
    """Keeps a dense tensor or a Parameter."""

    name = "torch"

    def handles(self, value: object) -> bool:
        """Whether this is a Tensor or a Parameter, and no other subclass."""
        return type(value) in (torch.Tensor, torch.nn.Parameter)

    def save(self, value: torch.Tensor, sink: Sink) -> None:
        """Write one tensor. Raises MaterializerError for a sparse or quantised one."""
        sink.format = "safetensors"
        sink.type = f"torch:{type(value).__name__}"
        sink.meta = {"requires_grad": bool(value.requires_grad)}
        plain = _plain(value)
        sink.write(safetensors.torch.save({_TENSOR: plain}))
        sink.preview = partial(_shown, plain)

    def load(self, source: Source) -> torch.Tensor:
        """Read it."""
        return _restored(_read(source)[_TENSOR], source.artifact.type, source.meta["requires_grad"])


class StateDictMaterializer:
    """Keeps a dict of tensors; tensors that share memory are written once and shared again."""

    name = "torch-state-dict"

    def handles(self, value: Any) -> bool:
        """Whether this is a dict of tensors with names."""
        return type(value) in (dict, OrderedDict) and all(
            type(key) is str and TENSOR.handles(item) for key, item in value.items()
        )

    def save(self, value: dict[str, torch.Tensor], sink: Sink) -> None:
        """Write the tensors; order, aliases and kinds go into the meta."""
        for item in value.values():
            if not TENSOR.handles(item):
                raise _refusal(item)
        first: dict[tuple[object, ...], str] = {}
        aliases = {key: first.setdefault(_place(item), key) for key, item in value.items()}
        kinds = {
            key: [type_name(type(item)), bool(item.requires_grad)] for key, item in value.items()
        }
        sink.format = "safetensors"
        sink.meta = {"aliases": list(aliases.items()), "kinds": kinds}
        if metadata := getattr(value, "_metadata", None):
            from levada.trees.encode import Encoder

            plain = {key: dict(part) for key, part in metadata.items()}
            sink.meta["metadata"] = Encoder(None).encode(plain)
        sink.write(safetensors.torch.save({key: _plain(value[key]) for key in first.values()}))
        sink.preview = partial(show_tensors, value)

    def load(self, source: Source) -> dict[str, torch.Tensor]:
        """Read the dict in its order."""
        from levada.trees.decode import Decoder

        stored, kinds = _read(source), source.meta["kinds"]
        tensors = {key: _restored(tensor, *kinds[key]) for key, tensor in stored.items()}
        items = [(key, tensors[name]) for key, name in source.meta["aliases"]]
        if source.artifact.type != "collections:OrderedDict":
            return dict(items)
        loaded = OrderedDict(items)
        if "metadata" in source.meta:
            parts: Any = loaded
            parts._metadata = OrderedDict(Decoder(None).decode(source.meta["metadata"]))
        return loaded


def _place(tensor: torch.Tensor) -> tuple[object, ...]:
    """Tell tensors apart by the memory that they show: tied weights are the same place twice."""
    if tensor.layout != torch.strided or not tensor.numel():
        return (id(tensor),)
    return (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), str(tensor.device))


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise MaterializerError(
            f"a tensor of layout {tensor.layout} cannot be kept exactly; return .to_dense() of it"
        )
    return tensor.detach().cpu().contiguous().clone()


def _shown(tensor: torch.Tensor) -> dict[str, Any]:
    from levada.previews import numbers

    has_numpy_type = tensor.dtype != torch.bfloat16
    return numbers.show(tensor.numpy() if has_numpy_type else tensor.float().numpy())


def _read(source: Source) -> dict[str, torch.Tensor]:
    return dict(safetensors.torch.load(source.read()))


def _restored(tensor: torch.Tensor, kind: str, requires_grad: bool) -> torch.Tensor:
    if kind.endswith("Parameter"):
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_() if requires_grad else tensor


def _refusal(value: object) -> MaterializerError:
    if isinstance(value, torch.nn.Module):
        return MaterializerError(
            f"a {type_name(type(value))} is code and weights; return its .state_dict() and build"
            " the module again where it is used, or write @step(allow_pickle=True)"
        )
    return MaterializerError(
        f"a {type_name(type(value))} cannot be kept as safetensors; return a plain tensor of it, or"
        " write @step(allow_pickle=True)"
    )


def materializer_for(value: object) -> TensorMaterializer:
    """Give the materializer. Raises MaterializerError for what is no tensor."""
    if TENSOR.handles(value):
        return TENSOR
    raise _refusal(value)


TENSOR = TensorMaterializer()
STATE_DICT = StateDictMaterializer()
BY_NAME = {TENSOR.name: TENSOR, STATE_DICT.name: STATE_DICT}
