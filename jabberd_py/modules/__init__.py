"""The features of a host, one file each, and the services that it can have beside itself.

`ORDER` is the order in which features are loaded. They hear every event in this order. A name with a dot is a file of another
package: ``pubsub.pep`` is jabberd_py/pubsub/pep.py.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..hooks import Module, load_files
from ..service import Service

ORDER = (
    # filters come before what they filter
    "mod_blacklist",
    "mod_privacy",
    "mod_blocking",
    "mod_report",
    # changes presence before it is sent
    "pubsub.avatar",
    # roster, subscriptions, presence
    "mod_roster",
    "mod_invites",
    "mod_arrivals",
    "mod_preauth",
    "mod_subscription",
    "mod_presence",
    "pubsub.groups",
    "pubsub.grouprooms",
    # components: what users see of them, what they may do in users' names
    "mod_gateway",
    "mod_privilege",
    "mod_delegation",
    # strips messages before anybody keeps them
    "pubsub.displayed",
    # what keeps messages
    "mod_memberships",
    "mod_offline",
    "mod_mam",
    "mod_trim",
    "mod_carbons",
    # holds back what can wait: after all who change what a session gets
    "mod_csi",
    # small services
    "mod_disco",
    "admin.adhoc",
    "mod_caps",
    "mod_contact",
    "pubsub.serverinfo",
    "mod_multicast",
    "mod_external",
    "mod_acme",
    "mod_ping",
    "mod_escaping",
    "mod_version",
    "mod_time",
    "mod_last",
    "mod_vcard",
    "mod_private",
    "pubsub.pep",
    "pubsub.bookmarks",
    "pubsub.vcard4",
    "pubsub.blocklists",
    "mod_passwords",
    "mod_approval",
    "mod_register",
    "mod_forgotten",
    "mod_portable",
    "mod_motd",
    "mod_announce",
    "mod_newcomers",
    "mod_logins",
    "mod_standing",
    "mod_admin",
    "mod_admins",
    "admin.tokens",
    "admin.stanzas",
    "admin.api",
    "admin.webhooks",
    "web.site",
    "web.webchat",
    "mod_echo",
)  # fmt: skip


SERVICES = (
    "muc.service", "pubsub.service", "services.upload", "services.proxy", "services.directory", "services.echo",
)  # fmt: skip
"""What a host can have beside itself, each on a domain of its own: the files, from the package's top."""


PLUGINS: list[type[Any]] = []
"""Modules and services from outside the tree, as `plugins` has loaded them."""


def load_all() -> dict[str, type[Module]]:
    """Every known module by its name, in order; those of plugins come last."""
    top, _, here = __name__.partition(".")
    more = {cls.name: cls for cls in PLUGINS if issubclass(cls, Module)}
    return load_files(top, [file if "." in file else f"{here}.{file}" for file in ORDER]) | more


def load_services() -> dict[str, type[Service]]:
    """Every known service by its name, in order."""
    found: dict[str, type[Service]] = {}
    top = __name__.partition(".")[0]
    for file in SERVICES:
        module = import_module(f"{top}.{file}")
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Service) and cls.__module__ == module.__name__:
                found[cls.name] = cls
    return found | {cls.name: cls for cls in PLUGINS if issubclass(cls, Service)}
