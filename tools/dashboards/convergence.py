"""Is training learning? The paper's figures 3, 4 and 5, live."""

from tools.dashboards.model import Dashboard, Panel, Query, Row, quantiles

LOSS = Row(
    "Loss and learning rate",
    (
        Panel(
            "Loss",
            "Training loss of each step, and its mean over five minutes.",
            "short",
            (
                Query("max(ance_trainer_loss{SEL})", "loss"),
                # Compared, to leave out the NaN of a trainer that has not made a step yet.
                Query("max(avg_over_time((ance_trainer_loss{SEL} < Inf)[5m:5s]))", "mean of 5 minutes"),
            ),
        ),
        Panel(
            "Learning rate",
            "Of the last step.",
            "sci",
            (Query("max(ance_trainer_learning_rate{SEL})", "learning rate"),),
        ),
    ),
)

GRADIENTS = Row(
    "Gradients (paper, figure 4)",
    (
        Panel(
            "Gradient norm by layer group",
            "Before clipping. With uninformative negatives all of them vanish; that is what ANCE is against.",
            "short",
            (Query("max by (group) (ance_trainer_gradient_norm{SEL})", "{{group}}"),),
            log=True,
        ),
        Panel(
            "Gradient norm of an instance, by kind of negative",
            "Median over instances of the bound of eq 11. The drawn negatives should lie above in-batch ones.",
            "short",
            (
                Query(
                    "histogram_quantile(0.5, sum by (le, negatives) "
                    "(rate(ance_trainer_instance_gradient_norm_bound_bucket{SEL}[$__rate_interval])))",
                    "{{negatives}}",
                ),
            ),
            log=True,
        ),
        Panel(
            "Instances that teach nothing",
            "Share of instances whose bound is below 0.01, by kind of negative.",
            "percentunit",
            (
                Query(
                    "sum by (negatives) "
                    '(rate(ance_trainer_instance_gradient_norm_bound_bucket{SEL, le="0.01"}[$__rate_interval]))'
                    " / (sum by (negatives) "
                    "(rate(ance_trainer_instance_gradient_norm_bound_count{SEL}[$__rate_interval])) > 0)",
                    "{{negatives}}",
                ),
            ),
        ),
        Panel(
            "Steps left out",
            "Loss or gradient was not finite. Three in a row end the training.",
            "none",
            (Query("max(ance_trainer_nonfinite_total{SEL})", "steps"),),
            steps=((1, "red"),),
        ),
    ),
)

NEGATIVES = Row(
    "Negatives (paper, figures 3 and 5)",
    (
        Panel(
            "Overlap of the negatives",
            "previous, bm25: share of the new version's candidates that are also theirs. current_topk: share of the "
            "negatives that were in use which the new version still ranks at the top.",
            "percentunit",
            (Query("max by (reference) (ance_indexer_negatives_overlap_ratio{SEL})", "{{reference}}"),),
        ),
        Panel(
            "Rank of the positive",
            "Of training queries in each version: the median and the 90th percentile. It should fall.",
            "none",
            (Query("max by (quantile) (ance_indexer_positive_rank{SEL})", "quantile {{quantile}}"),),
            log=True,
        ),
        Panel(
            "Async gap in steps",
            "And what a checkpoint more costs: the distance between two checkpoints.",
            "none",
            (
                Query("max(ance_trainer_async_gap_steps{SEL})", "gap"),
                Query("max(ance_trainer_checkpoint_interval_steps{SEL})", "one checkpoint"),
            ),
        ),
        Panel(
            "Async gap in time",
            "Age of the checkpoint that mined the negatives in use.",
            "s",
            (Query("time() - max(ance_trainer_negatives_created_timestamp_seconds{SEL})", "age"),),
        ),
        Panel(
            "Negatives put right",
            "masked: passages of a batch that do not count for a query, because they answer it, too. filled: random "
            "passages in place of listed negatives, where the filters left too few.",
            "short",
            (
                Query("sum(increase(ance_trainer_negatives_masked_total{SEL}[$__rate_interval]))", "masked"),
                Query("sum(increase(ance_trainer_negatives_filled_total{SEL}[$__rate_interval]))", "filled"),
            ),
        ),
        Panel(
            "Dev metrics by version",
            "Exact search over the whole corpus, dev split.",
            "percentunit",
            (Query("max by (measure) (ance_indexer_dev_metric{SEL})", "{{measure}}"),),
        ),
        Panel(
            "Paused for newer negatives",
            "1 while training waits: before the first version, and while the gap is above max_async_gap.",
            "none",
            (Query("max(ance_trainer_waiting{SEL})", "waiting"),),
        ),
    ),
)

SPEED = Row(
    "Speed",
    (
        Panel(
            "Time of a step",
            "Forward, loss, backward, clipping and update.",
            "s",
            quantiles("ance_trainer_step_duration_seconds"),
            width=8,
        ),
        Panel(
            "Tokens",
            "Trained on, padding not counted.",
            "short",
            (Query("sum(rate(ance_trainer_tokens_total{SEL}[$__rate_interval]))", "tokens a second"),),
            width=8,
        ),
        Panel(
            "Time of a checkpoint",
            "Saving and publishing; training stands still meanwhile.",
            "s",
            quantiles("ance_trainer_checkpoint_save_seconds"),
            width=8,
        ),
    ),
)

DASHBOARD = Dashboard(
    "ance-convergence",
    "ANCE / Training convergence",
    "Loss, gradient norms by layer group and kind of negative, overlap of negatives, async gap.",
    "ance_trainer_waiting",
    (LOSS, GRADIENTS, NEGATIVES, SPEED),
)
