"""A service that a host has beside itself, on a domain of its own: rooms, uploads, echo (docs/writing-a-service.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .discovery import Discoverable
from .hooks import Module, load_files, register
from .instance import Instance
from .options import Option, Section, optional
from .router import Router
from .xmpp.prep import domainprep
from .xmpp.protocols import Protocol


class Service(Section, Instance, Discoverable):
    """An Instance with options, which are read as attributes. Its own methods can be handlers like those of a Module.
    ``host`` is the `Host` to which it belongs.

    name       what it is called in the configuration; by default the file's name
    default    does every host have it where the configuration does not say?
    order      files beside the service's own that hold its Modules, in the order in which they hear every event
    features   namespaces for service discovery (XEP-0030)
    protocols  the RFCs and XEPs that it offers, for docs/protocols.md
    tables     where it keeps its data; every row has an ``owner``
    arguments  the meaning of the arguments of its own ``events``, for docs/events.md
    """

    name: ClassVar[str] = ""
    default: ClassVar[bool] = True
    order: ClassVar[tuple[str, ...]] = ()
    protocols: ClassVar[tuple[Protocol, ...]] = ()
    tables: ClassVar[tuple[Any, ...]] = ()
    arguments: ClassVar[Mapping[str, str]] = {}

    prefix = Option(
        str, "service", "label before the host's name that makes its address, unless 'address' says otherwise"
    )
    address = Option[str | None](optional(domainprep), None, "its address, a domain")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = cls.__module__.rsplit(".", 1)[-1]

    def __init__(
        self, router: Router, host: Instance, domain: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        Section.__init__(self, settings)
        Instance.__init__(self, router, domain)
        self.host: Any = host
        register(self, self)

    @property
    def admins(self) -> list[str] | None:
        """Those of its host."""
        return self.host.admins  # type: ignore[no-any-return]

    @classmethod
    def own_modules(cls) -> dict[str, type[Module]]:
        """Its Modules by name, in order."""
        return load_files(cls.__module__.rpartition(".")[0], cls.order)

    @classmethod
    def domain_for(cls, host: str, settings: Mapping[str, Any]) -> str:
        """Where that host has the service, by its converted settings. Raises ValueError: no domain."""
        address, prefix = (settings.get(each.name, each.default) for each in (cls.address, cls.prefix))
        return str(address or domainprep(f"{prefix}.{host}"))

    @property
    def parts(self) -> list[Any]:
        return [self, *self.modules.values()]

    def configure(self, settings: Mapping[str, Any]) -> None:
        """New settings, converted already, after a reload."""
        self.settings = dict(settings)

    def shown_on(self, host: str) -> bool:
        return bool(host == self.host.domain)

    def shuns(self, remote: str) -> bool:
        return bool(self.host.shuns(remote))

    def is_admin(self, jid: Any) -> bool:
        """May they administer the host that the service belongs to?"""
        return bool(self.host.is_admin(jid))
