"""A student tried on two samples before its run begins: what it gives, and whether its norms can do with each batch."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cache_kd.errors import ConfigError, ModelError
from cache_kd.state import generators, restore_generators
from cache_kd.types import AnyImages, Images

SAMPLES = 2  # a batch norm cannot train on one


def demand_logits(student: nn.Module, name: str, images: Images, classes: int) -> None:
    """See that `student` turns images into logits, and that its weights can be saved, before it trains.

    Args:
        student: left as it was, and the random generators with it.
        name: of the student.
        images: normalised, of `SAMPLES` samples.
        classes: number of logits.

    Raises:
        ModelError: it does not.
    """
    with _as_it_was(student):
        student.eval()
        _demand_pass(student, name, images, classes)
        _demand_own_tensors(student, name)


def demand_training(
    student: nn.Module, passes: nn.Module, name: str, images: Sequence[AnyImages], classes: int, *, fewest: int
) -> None:
    """See that a student gives logits in training mode too, and that no batch norm of it is given a single value.

    Args:
        student: left as it was, and the random generators with it.
        passes: its pass in training, with whatever the method puts on it.
        name: of the student.
        images: normalised, of `SAMPLES` samples; one tensor for each run of views of one size.
        classes: number of logits.
        fewest: samples of the smallest pass of an epoch.

    Raises:
        ModelError: it gives something else.
        ConfigError: a pass is too small for a batch norm.
    """
    with _as_it_was(passes):
        passes.train()
        for of_one_size in images:
            _demand_pass(student, name, of_one_size, classes)
        if fewest == 1:
            _demand_company(passes, name, images)


def _demand_pass(student: nn.Module, name: str, images: Tensor, classes: int) -> None:
    mode = "training" if student.training else "evaluation"
    height, width = images.shape[2:]
    try:
        logits = student(images)
    except Exception as fault:  # whatever somebody's own forward pass raises
        reason = next(iter(str(fault).strip().splitlines()), "")[:300]
        raise ModelError(
            f"{name} cannot be given images of {height}x{width} in {mode} mode ({type(fault).__name__}: {reason}). "
            "Take a student that is made for this size, or a --recipe whose views have another."
        ) from fault
    expected = [len(images), classes]
    if isinstance(logits, Tensor) and list(logits.shape) == expected:
        return
    found = f"a tensor {list(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    raise ModelError(
        f"{name} gives {found} for {len(images)} images in {mode} mode; expected a tensor {expected}, one logit for "
        "each class. Take another student, or wrap it in a function of your own (package.module:function)."
    )


def _demand_own_tensors(student: nn.Module, name: str) -> None:
    """See that no tensor stands under two names, which a file of weights cannot say."""
    names: dict[int, list[str]] = defaultdict(list)
    for key, tensor in student.state_dict().items():
        if tensor.numel():
            names[tensor.data_ptr()].append(key)
    shared = next((keys for keys in names.values() if len(keys) > 1), None)
    if shared:
        raise ModelError(
            f"{name} has one tensor under several names, {', '.join(shared)}, which a file of weights cannot hold. "
            "Give each layer a tensor of its own."
        )


def _demand_company(passes: nn.Module, name: str, images: Sequence[AnyImages]) -> None:
    """See that a pass of one sample gives every batch norm two values of each channel or more."""
    lonely: list[_BatchNorm] = []

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        if inputs[0].numel() <= SAMPLES * inputs[0].shape[1]:
            lonely.append(norm)

    hooks = [norm.register_forward_pre_hook(note) for norm in passes.modules() if isinstance(norm, _BatchNorm)]
    try:
        passes(images)
    finally:
        for hook in hooks:
            hook.remove()
    if lonely:
        raise ConfigError(
            f"Some batch, or the part of it that is computed at once, has one sample only, and a batch norm of {name} "
            f"would see one value of each of its {lonely[0].num_features} channels, which have no spread. "
            "Pass another --batch-size: the last batch has what is left over."
        )


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Leave no trace of what passes through `model`: neither in its tensors and modes, nor in what is drawn later."""
    random, modes = generators(), {module: module.training for module in model.modules()}
    tensors = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    try:
        yield  # with gradients, on which a forward pass may hang hooks
    finally:
        with torch.no_grad():
            for tensor, before in tensors:
                tensor.copy_(before)
        for module, training in modes.items():
            module.training = training
        restore_generators(random)
