"""BM25's negatives, which the warm-up trains on; mined once a run and kept in the store."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ance.data.dataset import Dataset
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import fetch, publish
from ance.runtime.bm25_cache import open_bm25
from ance.runtime.contracts import Kind, RunConfig
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.store import Store
from ance.training.bm25_mining import mine_bm25

log = get_logger(__name__)


def bm25_negatives(
    store: Store, layout: RunLayout, config: RunConfig, dataset: Dataset, lease: RunLease, cache: Path
) -> MinedNegatives:
    """The run's BM25 negatives: read from the store, or mined and published there."""
    prefix = layout.bm25_negatives
    if not store.exists(manifest_of(prefix)):
        log.info("mining BM25 negatives")
        mined = mine_bm25(dataset, open_bm25(store, layout, config, dataset, cache), config.negatives)
        with TemporaryDirectory(dir=cache) as folder:
            mined.save(Path(folder))
            publish(
                store,
                prefix,
                Path(folder),
                kind=Kind.NEGATIVES,
                run_id=config.run,
                fencing_token=lease.token,
                config_sha256=config.sha256,
                stats={"source": "bm25"},
            )
    return MinedNegatives.open(fetch(store, prefix, cache))
