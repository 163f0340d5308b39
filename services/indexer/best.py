"""The pointer to the version that is best on the dev split so far."""

from ance.runtime.artifacts import published
from ance.runtime.layout import RunLayout
from ance.runtime.run_history import dev_history
from ance.runtime.store import Store
from ance.training.early_stopping import standing


def point_to_best(store: Store, layout: RunLayout, measure: str) -> int | None:
    """Let the pointer `best` name the published version with the highest dev measure, the first of equals.

    To be called by a leader once an index is published, and before the next: retention keeps what a pointer names.

    Returns:
        Its step; None where no version has been measured.

    Raises:
        StaleFencingToken: another leader has published meanwhile.
    """
    best = standing(dev_history(store, layout, measure))
    ref = None if best is None else published(store, layout.index(best.best_step))
    if ref is None:
        return None
    store.move_pointer(layout.pointer("best"), ref)
    return ref.step
