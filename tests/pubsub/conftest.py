"""What many tests of publish-subscribe need."""

import pytest

from tests.pubsub.words import NS, pubsub


@pytest.fixture
def service(romeo):
    """The pubsub service of romeo's host."""
    return f"pubsub.{romeo.domain}"


@pytest.fixture
def node(romeo, service):
    """A node of the service that romeo has just made."""
    answer = romeo.iq("set", pubsub("<create/>"), to=service)
    return answer.find(f".//{{{NS}}}create").get("node")
