"""Parameters that a method brings: the roles that are modules, and how they outlive a change of knobs."""

from torch import nn

from cache_kd.distill.term import ROLES, Method


def modules_of(method: Method) -> list[nn.Module]:
    """The roles of `method` that are modules, each once, in the order of its terms; mostly none."""
    roles = [getattr(term, role) for term in method.terms for role in ROLES]
    return list(dict.fromkeys(role for role in roles if isinstance(role, nn.Module)))


def hand_over(old: Method, new: Method) -> None:
    """Let `new` go on with the very parameters of `old`, the same method with other knobs.

    The optimiser keeps its references: the tensors themselves change owner, not their values.
    """
    for before, after in zip(modules_of(old), modules_of(new), strict=True):
        after.load_state_dict(before.state_dict(keep_vars=True), assign=True)
