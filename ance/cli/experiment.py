"""One run from a data set to its scores on this machine: what `ance demo` and `ance reproduce` share."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ance.cli.fleet import Fleet
    from ance.cli.run_scores import Candidates
    from ance.cli.split_facts import SplitFacts
    from ance.runtime.contracts import RunConfig
    from ance.runtime.store import Store


@dataclass(frozen=True)
class Experiment:
    """A run in a store in `folder`. Started again, it continues where it stopped."""

    folder: Path
    run: "RunConfig"
    store: "Store"
    fleet: "Fleet"
    port: int | None
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def create(
        cls, folder: Path, text: str, source: str, dataset: str, fleet: "Fleet", port: int | None = None
    ) -> "Experiment":
        """Prepare the data set and create the run, unless an earlier start did.

        Args:
            text: the run's configuration, YAML.
            source: where it came from, for errors.
            dataset: as for `ance prepare --dataset`.
            fleet: what trains and encodes; its device scores, too.
            port: of the search service (None: there is none).

        Raises:
            AnceError: the configuration is not valid, the port is taken, the data set cannot be read, or the folder
                holds a run of another configuration. Nothing has been written, unless it is the last two.
        """
        from ance.cli.create_run import create_run, resolve
        from ance.cli.stack import require_free_port
        from ance.runtime.store import Store

        started = time.monotonic()
        folder = folder.resolve()
        text, run = resolve(text, source)
        if port is not None:
            require_free_port(port)
        store = Store.open(f"file://{folder}/store", create=True)
        require_data(store, run, dataset)
        create_run(store, text, source)
        return cls(folder, run, store, fleet, port, started)

    def splits(self) -> "dict[str, SplitFacts]":
        """Of the data set, and what each allows."""
        from ance.cli.split_facts import split_facts

        return split_facts(self.store, self.run.dataset)

    def train(self, *, then_serve: bool = False, at_end: Callable[[], None] | None = None) -> bool:
        """Run the services on this machine. See `run_local`."""
        from ance.cli.local_run import run_local
        from ance.cli.stack import StackOptions

        options = StackOptions(
            self.store.url,
            self.run.run,
            self.folder,
            self.fleet,
            search_port=self.port or 0,
            search=self.port is not None,
        )
        return run_local(options, then_serve=then_serve, at_end=at_end)

    def score(
        self,
        splits: Sequence[str],
        systems: Collection[str] = (),
        candidates: "Candidates | None" = None,
        measures: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Score splits; TREC runs go to `folder`/runs. See `evaluate_splits`."""
        from ance.cli.run_scores import evaluate_splits

        trec, store, run = self.folder / "runs", self.store.url, self.run.run
        return evaluate_splits(
            store,
            run,
            splits,
            trec=trec,
            systems=systems,
            candidates=candidates,
            measures=measures,
            device=self.fleet.device,
        )


def require_data(store: "Store", run: "RunConfig", spec: str) -> None:
    """Prepare the run's data set unless an earlier start did."""
    from ance.cli.prepare import DEFAULT_MAX_TOKENS, describe, prepare_dataset
    from ance.runtime.layout import RunLayout, manifest_of

    prefix = RunLayout.dataset(run.dataset)
    if store.exists(manifest_of(prefix)):
        print(f"{prefix} is prepared already")
        return
    print(f"preparing {prefix} from {spec}", flush=True)
    model = run.model
    max_tokens = max(DEFAULT_MAX_TOKENS, model.max_passage_tokens * model.max_chunks)
    report = prepare_dataset(spec, store.url, model.name_or_path, name=run.dataset, max_tokens=max_tokens)
    print(describe(report, run.dataset))
