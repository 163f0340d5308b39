"""Records as the trainer and the indexer write them: 20 warm-up and 40 ANCE steps, three refreshes."""

from typing import Any

WARMUP, STEPS = 20, 60


def step_record(step: int) -> dict[str, Any]:
    ance = step > WARMUP
    gap = (step - WARMUP) % 20 if ance else None
    kind = "ance" if ance else "bm25"
    return {
        "step": step,
        "stage": "ance" if ance else "warmup",
        "time": 1000.0 + step,
        "seconds": 0.5,
        "loss": 2.0 / step,
        "learning_rate": 1e-4,
        "async_gap": gap,
        "async_gap_seconds": None if gap is None else gap * 1.5,
        "gradient_norms": {"embeddings": 1.0, "bottom": 2.0, "top": 3.0, "global": 4.0 if ance else 2.0},
        "instance_gradient_norm_bounds": {kind: 3.0 if ance else 1.0, "in_batch": 0.5},
    }


def refresh_record(step: int) -> dict[str, Any]:
    previous = {"previous": 0.5 + step / 200, "current_topk": 0.6} if step > WARMUP else {}
    return {
        "step": step,
        "checkpoint_created_at": 1000.0 + step,
        "started_at": 1000.0 + step,
        "negatives_at": 1010.0 + step,
        "rows": {"train_queries": 100, "dev_queries": 20, "passages": 380},
        "merge_seconds": 1.0,
        "negatives_seconds": 1.0,
        "refresh_seconds": 10.0,
        "overlap": {"bm25": 0.15, **previous},
        "dev": {"RR@10": 0.3 + step / 1000, "nDCG@10": 0.4},
    }


def step_records() -> list[dict[str, Any]]:
    return [step_record(step) for step in range(1, STEPS + 1)]


def refresh_records() -> list[dict[str, Any]]:
    return [refresh_record(step) for step in (WARMUP, 40, 60)]


def scores() -> dict[str, Any]:
    """What `ance eval --json` prints."""
    systems = {"bm25": 0.27, "start": 0.11, "warmup": 0.40, "ance": 0.44}
    return {
        "dataset": "salad",
        "split": "test",
        "queries": 24,
        "systems": {name: {"RR@10": value, "R@100": value + 0.4} for name, value in systems.items()},
    }


def probe() -> dict[str, Any]:
    """What `ance probe --json` prints."""
    hardness = {"random": 1.0, "in_batch": 2.0, "hardest_in_batch": 2.5, "bm25": 3.0, "ance": 4.0}
    kinds = {
        kind: {
            "n": 64,
            "loss": 0.7,
            "gradient_norm": norm,
            "gradient_norm_error": norm / 10,
            "bound": 2 * norm,
            "noise": 2.0,
            "overlap": norm / 4,
        }
        for kind, norm in hardness.items()
    }
    return {"dataset": "salad", "step": 60, "candidates": 20, "rank_correlation": 0.9, "kinds": kinds}
