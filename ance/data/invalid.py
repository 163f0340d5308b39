"""What happens to a record that cannot be used: the end, or a line in the count."""

from typing import NamedTuple

from ance.data.records import Invalid, Reason
from ance.errors import AnceError

HARMLESS = frozenset({Reason.REPEATED_JUDGEMENT})
"""Reasons to leave a record out without being told to: nothing is lost."""


class InvalidCount(NamedTuple):
    """How many records were left out for one reason, and the first of them."""

    records: int
    first: str


class InvalidTally:
    """Stops at the first invalid record, or counts it when invalid records are to be left out.

    A place is counted once a reason, for a file may be read once a split.
    """

    def __init__(self, skip: bool) -> None:
        self._skip = skip
        self._places: dict[Reason, dict[str, str]] = {}

    def report(self, invalid: Invalid) -> None:
        """Count a record that is being left out.

        Raises:
            AnceError: invalid records are not to be left out, and this one is not harmless; the message says where it
                is.
        """
        if not self._skip and invalid.reason not in HARMLESS:
            advice = "mend it, or leave such records out with --skip-invalid"
            raise AnceError(f"{invalid.where}: {invalid.detail}; {advice}")
        self._places.setdefault(invalid.reason, {}).setdefault(invalid.where, invalid.detail)

    def counts(self) -> dict[str, InvalidCount]:
        """Reason -> how often, and the first example."""
        result = {}
        for reason, places in self._places.items():
            where, detail = next(iter(places.items()))
            result[str(reason)] = InvalidCount(len(places), f"{where}: {detail}")
        return result
