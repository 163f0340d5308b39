"""Negatives retrieved at each step with the query vectors of the moment, from an index that stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.filters import HasAnswer
from ance.negatives.mined import mine_rows, ranking_depth
from ance.negatives.mixing import Drawn
from ance.negatives.sampling import Rows
from ance.negatives.sources import ListedNegatives, RandomNegatives

Retrieve = Callable[[Rows, int], Drawn]
"""Ranks the corpus for some training queries: rows int64 [B], depth k -> passage rows and scores [B, k]."""


class LiveNegatives:
    """What the model would wrongly retrieve right now (ADORE, Zhan et al. 2021): no negative is ever stale.

    Filters and sampling are those of mined negatives. Where they leave a query too few, random ones stand in.
    """

    def __init__(
        self,
        retrieve: Retrieve,
        qrels: Qrels,
        config: NegativesConfig,
        random: RandomNegatives,
        *,
        has_answer: HasAnswer | None = None,
        on_drop: Callable[[Mapping[str, int]], None] = lambda dropped: None,
        on_fill: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`on_drop` is told after each batch what its filters have dropped, `on_fill` as by `ListedNegatives`."""
        self._retrieve = retrieve
        self._qrels = qrels
        self._config = config
        self._random = random
        self._has_answer = has_answer
        self._on_drop = on_drop
        self._on_fill = on_fill
        self._depth = ranking_depth(qrels, config)

    def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
        """See `NegativeSource`. Retrieves for all queries of the batch at once."""
        ranking = self._retrieve(query_rows, self._depth)
        config = self._config.model_copy(update={"sample": n})
        mined = mine_rows(query_rows, ranking, self._qrels, config, rng, has_answer=self._has_answer)
        self._on_drop(mined.dropped)
        listed = ListedNegatives(query_rows, mined.negatives, self._random, on_fill=self._on_fill)
        return listed.negatives(query_rows, n, rng)
