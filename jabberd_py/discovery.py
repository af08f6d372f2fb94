"""What service discovery (XEP-0030) asks a module or a service. All is declared here, with empty answers."""

from __future__ import annotations

import inspect
from difflib import get_close_matches

from .options import Option
from .xmpp.element import Element

Identity = tuple[str, str, str | None]
"""Category, type, and name or None."""


class Discoverable:
    """What a Module or a Service tells service discovery. (The namespaces of its IQ handlers are features without a word.) A
    subclass overrides what it needs. A name that begins with ``disco_`` or ``account_`` and is not declared here, or a method
    with other arguments, raises TypeError when the class is made.

    features, account_features       namespaces of the domain, of an account
    identities, account_identities   identities in addition to the usual one
    """

    features: tuple[str, ...] = ()
    account_features: tuple[str, ...] = ()
    identities: tuple[Identity, ...] = ()
    account_identities: tuple[Identity, ...] = ()

    def disco_forms(self) -> list[Element]:
        """Data forms for the domain's information (XEP-0128)."""
        return []

    def disco_items(self) -> list[Element]:
        """<item/>s of the domain."""
        return []

    def disco_page(self, request: Element) -> Element | None:
        """The <query/> with a page of the domain's items, if there are too many for one answer (XEP-0059). Raises
        StanzaError."""
        return None

    def account_works(self) -> bool:
        """Is there something to say of accounts? Guests keep nothing; what the module needs beside it may be switched off."""
        return True

    def account_page(self, request: Element, sessions: list[Element]) -> Element | None:
        """The <query/> that answers for the items of an account. It has ``sessions`` and those items of the module that the
        asker may see. If they are too many for one answer, it has a page of them (XEP-0059). None: the module has no items.
        Raises StanzaError."""
        return None

    def disco_node(self, request: Element, node: str) -> Element | None:
        """The <query/> that answers for a node of the domain; None if it is not a node of this module. Raises StanzaError."""
        return None

    def account_node(self, request: Element, node: str) -> Element | None:
        """The <query/> that answers for a node of an account; None if it is not a node of this module. The module decides who
        may ask. Raises StanzaError."""
        return None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, value in vars(cls).items():
            if not name.startswith(("disco_", "account_")) or isinstance(value, Option):
                continue
            declared = getattr(Discoverable, name, None)
            if declared is None:
                near = get_close_matches(name, vars(Discoverable), 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"{cls.__qualname__}.{name}: service discovery asks no such thing{hint}")
            if callable(declared) and not _takes(value, len(inspect.signature(declared).parameters)):
                raise TypeError(f"{value.__qualname__}: its arguments are {inspect.signature(declared)}")


def _takes(method: object, number: int) -> bool:
    """Can it be called with so many arguments, itself among them?"""
    if not callable(method):
        return False
    try:
        inspect.signature(method).bind(*range(number))
    except TypeError:
        return False
    return True
