"""A plugin of slidge for a network of one echoing person; run by slidge in a virtual environment of its own."""

from collections.abc import AsyncIterator
from typing import Any

from slidge import BaseGateway, BaseSession, LegacyContact, LegacyRoster


class Gateway(BaseGateway):
    COMPONENT_NAME = "Demo network"
    COMPONENT_TYPE = "xmpp"
    ROSTER_GROUP = "Demo"
    REGISTRATION_INSTRUCTIONS = "Any name"

    async def validate(self, user_jid: Any, registration_form: Any) -> None:
        """Everybody may register."""


class Contact(LegacyContact):
    async def update_info(self, *args: Any) -> None:
        self.name = "Echo"
        self.is_friend = True
        self.online(status="listening")

    async def on_message(self, message: Any) -> str | None:
        self.send_text("echo: " + message.body)
        return None


class Roster(LegacyRoster):
    async def fill(self) -> AsyncIterator[Contact]:
        contact = await self.by_legacy_id("echo")
        await contact.add_to_roster()  # slidge 0.4 does not do it by itself for what `fill` yields
        yield contact


class Session(BaseSession):
    async def login(self) -> str:
        return "connected to the demo network"

    async def logout(self) -> None:
        pass

    async def on_presence(self, *args: Any, **kwargs: Any) -> None:
        pass
