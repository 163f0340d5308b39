"""A new run in the store, or the continuation of one."""

import yaml

from ance.cli.models import resolve_model
from ance.cli.split_facts import split_facts
from ance.errors import AnceError
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.run import read_config
from ance.runtime.store import Store
from ance.runtime.teacher import provide_teacher


def create_run(store: Store, text: str, source: str) -> RunConfig:
    """Store a run's configuration verbatim; a run that exists already is continued if it is the same.

    Only the model name `minilm` is replaced, by the folder it stands for on this machine.

    Args:
        text: the configuration, YAML.
        source: where it came from, for errors.

    Raises:
        AnceError: the configuration is not valid, its data set is not in the store, the cross-encoder that it names
            cannot be its teacher, or a run of the same name has another configuration.
    """
    text, config = resolve(text, source)
    store.check_writable()
    layout = RunLayout(config.run)
    require_dataset(store, config, source)
    if not store.exists(layout.run_yaml) and config.training.ance.teacher is not None:
        # Before the configuration, which the services wait for.
        provide_teacher(store, layout, config.training.ance.teacher)
    if not store.write_new(layout.run_yaml, text.encode()):
        existing = read_config(store, layout)
        if existing.sha256 != config.sha256:
            raise AnceError(
                f"{source}: run '{config.run}' exists in {store.url} with another configuration; "
                f"choose another name for key 'run', or delete {layout.root} there"
            )
    return config


def resolve(text: str, source: str) -> tuple[str, RunConfig]:
    """A configuration with the folder of a model wherever it has the name `minilm`, as text and parsed.

    Raises:
        AnceError: the configuration is not valid.
    """
    config = RunConfig.parse(text, source)
    named = {"name_or_path": config.model.name_or_path, "query_name_or_path": config.model.query_name_or_path}
    folders = {key: resolve_model(name) for key, name in named.items() if name is not None}
    if folders.items() <= named.items():
        return text, config
    values = yaml.safe_load(text)
    values["model"] |= folders
    resolved = yaml.safe_dump(values, sort_keys=False)
    return resolved, RunConfig.parse(resolved, source)


def require_dataset(store: Store, config: RunConfig, source: str) -> None:
    """Check that the run's data set is in the store and has what training needs.

    Raises:
        AnceError: it is missing, has no training split, lacks the answers that negatives are filtered by, or has no dev
            split to compare the run's versions on as is asked for.
    """
    key = manifest_of(RunLayout.dataset(config.dataset))
    if not store.exists(key):
        raise AnceError(
            f"{source}: dataset '{config.dataset}' is not in {store.url}; make it with "
            f"`ance prepare --dataset ... --name {config.dataset} --store {store.url}`"
        )
    splits = split_facts(store, config.dataset)
    if "train" not in splits:
        raise AnceError(
            f"{source}: dataset '{config.dataset}' has no train split, only: {', '.join(splits) or 'none'}; "
            "prepare one that has"
        )
    if config.negatives.exclude_answers and not splits["train"].answers:
        raise AnceError(
            f"{source}: negatives.exclude_answers needs answers, and the train split of '{config.dataset}' has none; "
            "set it to false or prepare a data set that has"
        )
    best_by = config.evaluation.best_by
    if "dev" in splits and best_by not in splits["dev"].measures:
        raise AnceError(
            f"{source}: evaluation.best_by: {best_by} cannot be measured on the dev split of '{config.dataset}', only: "
            f"{', '.join(splits['dev'].measures) or 'nothing'}; choose one of these or mend the data set"
        )
    if "dev" not in splits and config.training.early_stopping is not None:
        raise AnceError(
            f"{source}: training.early_stopping compares versions on a dev split, and dataset '{config.dataset}' has "
            "none; leave it out or prepare one that has"
        )
