"""One method from two or three: a role exchanged for another method's, where something is left of each."""

from dataclasses import replace
from typing import cast

from cache_kd.distill.divergence import kl
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.distill.term import ROLES, Divergence, Method, Refine, Role, Temperature, Term
from cache_kd.errors import ConfigError

NOUN: dict[Role, str] = {"refine": "refinement", "temperature": "temperature", "divergence": "divergence"}
PLAIN: dict[Role, str] = {
    "refine": "it keeps the teacher's logits as they are",
    "temperature": "its temperature is constant",
    "divergence": "it measures by KL",
}


def compose(method: Method, *, refine: Method | None = None, temperature: Method | None = None) -> Method:
    """`method` with what it imitates taken from `refine` and how soft it looks taken from `temperature`.

    The role is exchanged in every term; weights, divergences and everything else stay those of `method`.

    >>> from cache_kd.methods import make_method
    >>> compose(make_method("dkd"), temperature=make_method("normkd")).name
    'dkd+normkd'

    Args:
        method: what is trained.
        refine: lends its refinement (`la` corrects the teacher by the label).
        temperature: lends its temperature (`normkd`, `lskd`, `atkd`, `dtd`, ...).

    Raises:
        ConfigError: the combination makes no sense; the message says why.
    """
    name = method.name
    if refine is not None:
        lent = cast(Refine, _lent(refine, "refine"))
        _check_open(method, "refine", refine)
        method, name = with_roles(method, refine=lent), f"{name}+{refine.name}"
    if temperature is not None:
        also = cast(Temperature, _lent(temperature, "temperature"))
        _check_open(method, "temperature", temperature)
        method, name = with_roles(method, temperature=also), f"{name}+{temperature.name}"
    return replace(method, name=name)


def with_roles(
    method: Method,
    *,
    refine: Refine | None = None,
    temperature: Temperature | None = None,
    divergence: Divergence | None = None,
) -> Method:
    """`method` with the given roles exchanged in each of its terms; nothing is asked, everything else stays."""

    def exchanged(term: Term) -> Term:
        return replace(
            term,
            refine=refine or term.refine,
            temperature=temperature or term.temperature,
            divergence=divergence or term.divergence,
        )

    return replace(method, terms=tuple(exchanged(term) for term in method.terms))


def roles_of(method: Method) -> tuple[Role, ...]:
    """The roles that `method` fills with something of its own; none of them is plain KD's."""
    plain = {
        "refine": all(term.refine is keep for term in method.terms),
        "temperature": all(isinstance(term.temperature, Constant) for term in method.terms),
        "divergence": len(method.terms) == 1 and method.terms[0].divergence is kl,
    }
    return tuple(role for role in ROLES if not plain[role])


def lends(method: Method) -> tuple[Role, ...]:
    """The roles that other methods can borrow from `method`."""
    return tuple(role for role in ("refine", "temperature") if _why_not_lent(method, role) is None)


def _lent(lender: Method, role: Role) -> object:
    """The one role of `lender` that goes into all terms of another method."""
    why_not = _why_not_lent(lender, role)
    if why_not is not None:
        raise ConfigError(f"{lender.name} has no {NOUN[role]} to lend: {why_not}.")
    return getattr(lender.terms[0], role)


def _why_not_lent(lender: Method, role: Role) -> str | None:
    if role not in roles_of(lender):
        return PLAIN[role]
    if any(getattr(term, role) != getattr(lender.terms[0], role) for term in lender.terms):
        return "each of its terms has another one"
    return lender.fixed.get("temperature")  # what keeps its temperature goes with no other


def _check_open(method: Method, role: Role, lender: Method) -> None:
    """Refuse where the method cannot do without its own role, or where nothing of the method would be left."""
    if role in method.fixed:
        raise ConfigError(f"{method.name} keeps its own {NOUN[role]}: {method.fixed[role]}. Leave out {lender.name}.")
    if roles_of(method) == (role,):
        raise ConfigError(
            f"nothing of {method.name} would be left, for its {NOUN[role]} is all there is to it; "
            f"use kd with the {NOUN[role]} of {lender.name}."
        )
