"""What `ance warmup` makes of a run's configuration."""

from pathlib import Path

import pytest
import yaml

from ance.cli import up
from ance.runtime.contracts import RunConfig
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import config, write_config


def test_the_warm_up_alone_is_a_run_of_its_own_without_what_only_the_second_stage_has(
    ance: Ance, salad: Salad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunConfig] = []
    monkeypatch.setattr(up, "start", lambda text, source, *_, **options: started.append(RunConfig.parse(text, source)))
    values = config(salad.encoder)
    values["training"] |= {"early_stopping": {"patience": 2}}
    ended = ance("warmup", "--config", write_config(tmp_path / "run.yaml", values), "--store", salad.store)
    assert ended.status == 0, ended.err
    (run,) = started
    given = RunConfig.parse(yaml.safe_dump(values), "given")
    assert run.run == f"{given.run}-warmup"
    assert run.training.warmup == given.training.warmup
    assert run.training.total_steps == given.training.warmup.steps
