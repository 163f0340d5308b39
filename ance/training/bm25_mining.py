"""BM25's negatives of a training split."""

from ance.data.dataset import Dataset
from ance.negatives.answers import answer_filter
from ance.negatives.config import NegativesConfig
from ance.negatives.mined import MinedNegatives, mine, ranking_depth
from ance.retrieval.bm25 import BM25


def mine_bm25(dataset: Dataset, bm25: BM25, config: NegativesConfig) -> MinedNegatives:
    """Rank the corpus with BM25 for every training query and mine the ranking, as version 0.

    Filters and weights that compare similarities with those of an encoder do not apply to BM25's scores.

    Args:
        dataset: its training split is mined.
        bm25: index of its passages.
        config: which candidates are left out, and how negatives are drawn from the rest.

    Raises:
        AnceError: `config.exclude_answers` is set, and the queries of the data set have no answers.
    """
    qrels, has_answer = dataset.qrels("train"), answer_filter(dataset, config)
    ids, scores = bm25.search(list(dataset.queries("train").full_texts()), ranking_depth(qrels, config))
    return mine(ids, scores, qrels, config.without_scores(), step=0, has_answer=has_answer)
