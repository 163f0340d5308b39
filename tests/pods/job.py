"""Jobs: what a failed pod means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["retry", "retry-uncounted", "fail"]


@dataclass(slots=True)
class JobStatus:
    """How far a Job has come."""

    failures: int = 0
    succeeded: bool = False
    failed: bool = False


def judge(spec: Mapping[str, Any], exit_codes: Mapping[str, int], disrupted: bool) -> Verdict:
    """What the first matching rule of the podFailurePolicy makes of a failed pod; without a match it is retried.

    Args:
        spec: of the Job.
        exit_codes: of the pod's containers by name.
        disrupted: the pod was evicted, so that it has the condition DisruptionTarget.
    """
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        if _matches(rule, exit_codes, disrupted):
            action = rule["action"]
            return "fail" if action == "FailJob" else "retry-uncounted" if action == "Ignore" else "retry"
    return "retry"


def _matches(rule: Mapping[str, Any], exit_codes: Mapping[str, int], disrupted: bool) -> bool:
    if "onPodConditions" in rule:
        return disrupted and any(
            condition["type"] == "DisruptionTarget" and condition.get("status", "True") == "True"
            for condition in rule["onPodConditions"]
        )
    wanted = rule["onExitCodes"]
    codes = [code for name, code in exit_codes.items() if code != 0 and wanted.get("containerName", name) == name]
    listed = [code in wanted["values"] for code in codes]
    return any(listed) if wanted["operator"] == "In" else any(not inside for inside in listed)
