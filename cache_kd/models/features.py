"""The features before a model's classifier, and that classifier, of any model whose logits come from a linear layer."""

import torch
from torch import Tensor, nn

from cache_kd.errors import ModelError
from cache_kd.types import HeadBias, HeadWeight


class Penultimate:
    """Remembers what the classifier of `model` was given in the last forward pass.

    Args:
        model: with logits that are the output of one of its linear layers.
        images: normalised, [batch, channels, height, width]; one pass over them finds that layer.

    Raises:
        ModelError: the logits come from somewhere else.
    """

    features: Tensor  # [batch, size], with their graph

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self._classifier = _classifier(model, images)
        self.size = self._classifier.in_features
        self._classifier.register_forward_pre_hook(self._remember)

    @property
    def weight(self) -> HeadWeight:
        """Of the classifier."""
        return self._classifier.weight

    @property
    def bias(self) -> HeadBias:
        """Of the classifier; zeros where it has none."""
        own: HeadBias | None = self._classifier.bias
        return self.weight.new_zeros(len(self.weight)) if own is None else own

    def _remember(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        del module
        self.features = inputs[0]


def _classifier(model: nn.Module, images: Tensor) -> nn.Linear:
    """The linear layer whose output is the model's: the very same tensor, so there is nothing to guess."""
    made: dict[nn.Linear, Tensor] = {}

    def remember(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del inputs
        assert isinstance(module, nn.Linear)
        made[module] = output

    hooks = [layer.register_forward_hook(remember) for layer in model.modules() if isinstance(layer, nn.Linear)]
    was_training = model.training
    model.eval()  # batch norm is not to learn from this pass
    try:
        with torch.no_grad():
            logits = model(images)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    for layer, output in made.items():
        if output is logits:
            return layer
    raise ModelError(
        f"the logits of {type(model).__name__} are not the output of a torch.nn.Linear, so it has no features "
        "before a last layer, neither for a second head nor to be stored; take a model that ends in one."
    )
