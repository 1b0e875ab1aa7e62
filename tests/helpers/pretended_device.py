"""A device that torch takes for an accelerator and that computes on the CPU, for machines that have no other.

As CUDA does, it refuses to compute with tensors of which some lie on the CPU, and to give its memory to NumPy: a tensor
that was made in the wrong place is an error here too. It cannot show what kernels, memory and mixed precision of a GPU
do, nor how fast they are.

Built on what torch has for devices written in Python (``torch.utils.backend_registration``), which is experimental. A
process that has called :func:`pretend` has the device until it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _mode_utils, backend_registration
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretended"

#: Operations that may read from the one and write to the other.
_COPIES = {"_copy_from", "copy_"}
#: Operations whose second argument, a list of indices, may lie on the CPU.
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
#: Operations whose result's size depends on values, so that a GPU must be waited for; besides copies to the CPU.
_WAIT = {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "bincount", "equal", "is_nonzero"}
#: Operations that make tensors out of nothing; all others have an argument that lies on the device.
_MAKERS = (
    "empty.memory_format",
    "empty_strided",
    "arange",
    "arange.start",
    "arange.start_step",
    "triu_indices",
    "randperm",
)

#: Kept, as kernels go when their library does.
_libraries: list[torch.library.Library] = []

#: How often each operation would have waited for a GPU.
waits: Counter[str] = Counter()


class OnDevice(Tensor):
    """A tensor of the device; ``inner`` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnDevice:
        """Wrap a tensor of the CPU, sharing its memory."""
        wrapper: OnDevice = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        wrapper.inner = inner
        return wrapper

    def tolist(self) -> Any:
        """As of any tensor; torch leaves subclasses without."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Compute on the CPU what is asked for."""
        return _compute(func, *args, **(kwargs or {}))


def _compute(func: Any, *args: Any, **kwargs: Any) -> Any:
    name = func._overloadpacket.__name__
    ours = [tensor for tensor in _tensors((args, kwargs)) if isinstance(tensor, OnDevice)]
    together = (args[0], args[2:]) if name in _INDEXING and isinstance(args[0], OnDevice) else (args, kwargs)
    if ours and name not in _COPIES and any(t.ndim and not isinstance(t, OnDevice) for t in _tensors(together)):
        raise RuntimeError(f"Expected all tensors to be on the same device, in {func}")
    args_here, kwargs_here = tree_map(_inner, (args, kwargs))
    is_ours = bool(ours)
    if kwargs.get("device") is not None:
        is_ours = torch.device(kwargs["device"]).type == NAME
        kwargs_here["device"] = torch.device("cpu")
    if name == "copy_":
        is_ours = isinstance(args[0], OnDevice)
    if ours and (name in _WAIT or not is_ours or _is_index_by_mask(name, args_here)):
        waits[name] += 1
    if name == "_copy_from":  # what becomes of copies that the dispatcher sees
        source, target = args_here[:2]
        target.copy_(source)
        is_blocking = not (args[2:] and args[2]) and not kwargs.get("non_blocking")
        waits[name] += is_blocking and isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice)
        return args[1]
    result = func(*args_here, **kwargs_here)
    if torch.Tag.inplace_view in func.tags:  # squeeze_ and the like change the wrapper's shape as well
        with _mode_utils.no_dispatch():
            func(*args, **kwargs)
        return args[0]
    in_place = {id(tensor.inner): tensor for tensor in ours}

    def wrap(value: Any) -> Any:
        return in_place.get(id(value), OnDevice(value)) if isinstance(value, Tensor) else value

    return tree_map(wrap, result) if is_ours else result


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnDevice) else value


def _is_index_by_mask(name: str, args: tuple[Any, ...]) -> bool:
    return name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])


#: Older versions of torch have no devices written in Python; tests of them are skipped there.
_Dummy: Any = getattr(backend_registration, "_DummyBackendModule", object)


class _Module(_Dummy):  # type: ignore[misc]
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def _no_grad(mode: bool | Callable[..., Any] = True) -> Any:
    """Stands in for ``torch.inference_mode``, which tensors of Python's cannot be made in."""
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.set_grad_enabled(not mode and torch.is_grad_enabled())


def pretend() -> torch.device:
    """Register the device with torch, for as long as this process lives."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("aten", "IMPL", "PrivateUse1")
    for maker in (*_MAKERS, "_copy_from"):
        name, _, overload = maker.partition(".")
        func = getattr(getattr(torch.ops.aten, name), overload or "default")
        library.impl(func, partial(_compute, func), "PrivateUse1")
    _libraries.append(library)
    torch.inference_mode = _no_grad
    return torch.device(NAME, 0)
