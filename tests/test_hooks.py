"""What a module says of itself: the order of its handlers."""

from jabberd_py.hooks import Hooks, Module, on


class Instance:
    def __init__(self):
        self.hooks, self.iqs, self.commands, self.jobs, self.pages = Hooks(), {}, {}, [], {}


class Base(Module):
    @on("start")
    def zebra(self):
        self.said = ["zebra"]

    @on("start")
    def middle(self):
        self.said.append("base")


class Feature(Base):
    @on("start")
    def later(self):
        self.said.append("later")

    @on("start")
    def again(self):
        self.said.append("again")

    @on("start")
    def middle(self):
        self.said.append("middle")


def test_handlers_are_called_in_the_order_of_their_definition():
    """Those of base classes come first; one that is defined again keeps its place."""
    instance = Instance()
    feature = Feature(instance)
    instance.hooks.tell("start")
    assert feature.said == ["zebra", "middle", "later", "again"]
