"""The answer filter of a training split."""

from ance.data.answer_match import AnswerMatcher
from ance.data.dataset import Dataset
from ance.negatives.config import NegativesConfig
from ance.negatives.filters import HasAnswer


def answer_filter(dataset: Dataset, config: NegativesConfig) -> HasAnswer | None:
    """Whether a passage holds an answer to a training query; None unless `config.exclude_answers` wants to know.

    Raises:
        AnceError: the queries of the data set have no answers.
    """
    if not config.exclude_answers:
        return None
    return AnswerMatcher(dataset.passages, dataset.answers("train"))
