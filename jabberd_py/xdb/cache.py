"""@cached: remembers the results of a function of an owner, so that the path of a message does not ask the database."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
_caches: "list[Cache[Any]]" = []


class Cache(dict[str, T], Generic[T]):
    """Owner -> result of ``function(owner)``.

    All values together weigh at most ``size``. ``weigh(value)`` is the weight of one (by default 1); it must not change while
    the value is in the cache. When the cache is full, the value that was read first goes, even if it is still in use: that
    costs one query, but a hit does not have to keep an order. What is pinned stays; it should weigh nothing.

    ``cache[owner]`` is the same as ``cache(owner)`` and costs a tenth of it: for the paths of messages and presence.

    After a commit that changes the result, call `forget`. Opening a store empties all caches. The function must have no side
    effects, because it may run twice."""

    def __init__(self, function: Callable[[str], T], size: int, weigh: Callable[[T], int]) -> None:
        self.function, self.size, self.weigh = function, size, weigh
        super().__init__()
        self.weight = 0
        self.pinned: set[str] = set()
        self._asking: dict[str, object] = {}  # owner -> token of who asks the database now
        update_wrapper(self, function)
        _caches.append(self)

    __call__ = dict.__getitem__

    def __missing__(self, owner: str) -> T:
        token = self._asking[owner] = object()
        try:
            value = self.function(owner)  # may switch greenlets (MySQL, PostgreSQL)
            if self._asking.get(owner) is token:  # else forgotten meanwhile: what we read may be old
                if owner in self:
                    self.weight -= self.weigh(self[owner])
                self[owner] = value
                self.weight += self.weigh(value)
                while self.weight > self.size and len(self) > 1 + len(self.pinned):
                    self.weight -= self.weigh(
                        self.pop(next(each for each in self if each not in self.pinned))
                    )
            return value
        finally:
            if self._asking.get(owner) is token:
                del self._asking[owner]

    def pin(self, owner: str) -> T:
        """The result, which stays until somebody forgets it. May block."""
        self.pinned.add(owner)
        return self[owner]

    def forget(self, owner: str) -> None:
        if owner in self:
            self.weight -= self.weigh(self.pop(owner))
        self._asking.pop(owner, None)

    def clear(self) -> None:
        super().clear()
        self.weight = 0
        self._asking.clear()


def _one(value: object) -> int:
    return 1


@overload
def cached(function: Callable[[str], T]) -> Cache[T]: ...
@overload
def cached(
    *, size: int = ..., weigh: Callable[[Any], int] = ...
) -> Callable[[Callable[[str], T]], Cache[T]]: ...


def cached(
    function: Callable[[str], T] | None = None, *, size: int = 10_000, weigh: Callable[[Any], int] = _one
) -> Any:
    """`@cached` or `@cached(size=..., weigh=...)` on a module-level function of a bare JID."""
    if function is None:
        return lambda wrapped: Cache(wrapped, size, weigh)
    return Cache(function, size, weigh)


def clear_all() -> None:
    for cache in _caches:
        cache.clear()


def forget_owner(owner: str) -> None:
    for cache in _caches:
        cache.forget(owner)
