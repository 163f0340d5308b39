"""The figures of a finished run beside its scores: refreshes, and the async gap that its trainer saw."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store


def history(store: "Store", layout: "RunLayout") -> dict[str, Any]:
    """The refreshes of a run and its async gap, from the store.

    Returns:
        {"refreshes": [record, ...], "refreshes_during_training": int, "async_gap": {unit: {"mean", "max"}}} with
        the units steps and seconds; the gap is {} where no step was trained on mined negatives.
    """
    import numpy as np

    from ance.runtime.run_history import refresh_records, step_records

    refreshes, records = refresh_records(store, layout), step_records(store, layout)
    gaps = [record for record in records if record["async_gap"] is not None]
    last_training = max((record["time"] for record in records), default=0.0)

    def spread(name: str) -> dict[str, float]:
        values = np.array([record[name] for record in gaps])
        return {"mean": round(float(values.mean()), 1), "max": round(float(values.max()), 1)}

    return {
        "refreshes": refreshes,
        "refreshes_during_training": sum(refresh["negatives_at"] < last_training for refresh in refreshes),
        "async_gap": {"steps": spread("async_gap"), "seconds": spread("async_gap_seconds")} if gaps else {},
    }


def summary(report: dict[str, Any]) -> str:
    """The report's other figures in a line or two."""
    gap = report["async_gap"]
    lines = [
        f"{report['refreshes_during_training']} refreshes during training, {len(report['refreshes'])} in all; "
        f"{report['seconds']:.0f} s from start to report"
    ]
    if gap:
        steps, seconds = gap["steps"], gap["seconds"]
        lines.append(
            f"async gap: mean {steps['mean']} and at most {steps['max']:.0f} steps "
            f"({seconds['mean']:.0f} and {seconds['max']:.0f} s)"
        )
    return "\n".join(lines)
