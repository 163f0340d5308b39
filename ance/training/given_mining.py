"""Negatives that the training split came with, such as those of MS MARCO's triples or DPR's hard negatives."""

import numpy as np

from ance.data.dataset import Dataset
from ance.negatives.answers import answer_filter
from ance.negatives.config import NegativesConfig
from ance.negatives.mined import MinedNegatives, mine, ranking_depth


def mine_given(dataset: Dataset, config: NegativesConfig) -> MinedNegatives:
    """Sample from the candidates of each training query, as version 0. They are in order, but have no scores.

    Raises:
        AnceError: the data set came with no candidates for its training queries, or with no answers where
            `config.exclude_answers` is set.
    """
    qrels, has_answer = dataset.qrels("train"), answer_filter(dataset, config)
    ids = dataset.candidates("train").padded(ranking_depth(qrels, config))
    unscored = np.zeros(ids.shape, np.float32)
    return mine(ids, unscored, qrels, config.without_scores(), step=0, has_answer=has_answer)
