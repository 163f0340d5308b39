"""The artifact store, from the outside in.

`store` is what the services use; `pointers` has the rule of the pointer's compare-and-swap, `retries` the
patience with a store that is unreachable, `backends` the URLs, `writers` the atomic writes of each backend.
"""

from ance.runtime.store.pointers import StaleFencingToken
from ance.runtime.store.store import Store

__all__ = ["StaleFencingToken", "Store"]
