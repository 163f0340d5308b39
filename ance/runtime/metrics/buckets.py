"""Upper bounds of histogram buckets, in the unit of the metric."""

REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a search request and its stages, 1 ms to 10 s."""
BATCH = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: one forward pass or one optimiser step."""
FILES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds: saving, loading or swapping an artifact; a whole encode task."""
REFRESH = (1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
"""Seconds: one pass over the corpus, from seconds in a demo to hours on MS MARCO."""
PHASE = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
"""Seconds: one phase of a pass; merging takes milliseconds where encoding takes hours."""
GRADIENT = (1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Gradient norms, which differ by orders of magnitude between kinds of negatives (paper, figure 4)."""
