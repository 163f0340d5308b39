from typing import Any

import pytest

from tests.pods.job import judge

SPEC = {
    "podFailurePolicy": {
        "rules": [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [143]}},
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [143]}},
        ]
    }
}


@pytest.mark.parametrize(
    ("spec", "code", "disrupted", "verdict"),
    [
        (SPEC, 2, False, "fail"),
        (SPEC, 2, True, "fail"),
        (SPEC, 137, True, "retry-uncounted"),
        (SPEC, 137, False, "retry"),
        (SPEC, 143, False, "retry-uncounted"),
        ({}, 2, False, "retry"),
    ],
)
def test_the_first_matching_rule_judges_a_failed_pod(
    spec: dict[str, Any], code: int, disrupted: bool, verdict: str
) -> None:
    assert judge(spec, {"trainer": code, "sidecar": 0}, disrupted) == verdict


def test_a_rule_can_be_about_one_container() -> None:
    rule = {"action": "FailJob", "onExitCodes": {"containerName": "trainer", "operator": "In", "values": [2]}}
    spec = {"podFailurePolicy": {"rules": [rule]}}
    assert judge(spec, {"trainer": 2}, disrupted=False) == "fail"
    assert judge(spec, {"sidecar": 2}, disrupted=False) == "retry"
