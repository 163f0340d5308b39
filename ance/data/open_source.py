"""From what a user types after `--dataset` to the source it names."""

from pathlib import Path

from ance.data.records import Source
from ance.data.sources.naming import dataset_name
from ance.errors import AnceError

KINDS = (
    "python-env, python-env:passages=8000,packages=a+b, beir:FOLDER, msmarco:FOLDER, dpr:FOLDER, ir_datasets:ID or "
    "ir_datasets:ID,SPLIT=PART+PART,candidates=SPLIT+SPLIT"
)


def open_source(spec: str) -> Source:
    """Open the source that `spec` names, see `KINDS`.

    Raises:
        AnceError: the kind or one of its options is unknown, or there is no such source.
    """
    kind, _, rest = spec.partition(":")
    if kind == "python-env":
        return _python_env(spec, rest)
    if kind == "beir" and rest:
        from ance.data.sources.beir import Beir

        return Beir(Path(rest))
    if kind == "msmarco" and rest:
        from ance.data.sources.marco import Marco

        return Marco(Path(rest))
    if kind == "dpr" and rest:
        from ance.data.sources.dpr import Dpr

        return Dpr(Path(rest))
    if kind == "ir_datasets" and rest:
        return _ir_datasets(spec, rest)
    raise AnceError(f"data set '{spec}': unknown, expected {KINDS}")


def _ir_datasets(spec: str, rest: str) -> Source:
    from ance.data.sources.irds import IrDatasets

    dataset_id, *options = rest.split(",")
    splits: dict[str, list[str]] = {}
    for option in options:
        split, _, parts = option.partition("=")
        if split != dataset_name(split) or not all(parts.split("+")):
            raise AnceError(
                f"data set '{spec}': option '{option}' is not SPLIT=PART, SPLIT=PART+PART or candidates=SPLIT"
            )
        splits[split] = parts.split("+")
    candidates = splits.pop("candidates", [])
    return IrDatasets(dataset_id, splits, candidates)


def _python_env(spec: str, options: str) -> Source:
    from ance.data.sources.python_env import PythonEnv

    passages, packages = PythonEnv.DEFAULT_PASSAGES, ""
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "passages" and value.isdecimal() and int(value) > 0:
            passages = int(value)
        elif key == "packages" and value:
            packages = value
        else:
            raise AnceError(f"data set '{spec}': option '{option}' is not passages=NUMBER or packages=NAME+NAME")
    return PythonEnv(passages, tuple(filter(None, packages.split("+"))))
