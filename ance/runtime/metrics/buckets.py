"""Upper bounds of histogram buckets, in seconds."""

REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""A search request and its stages: 1 ms to 10 s."""
BATCH = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""One forward pass or one optimiser step."""
FILES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Saving, loading or swapping an artifact; a whole encode task."""
REFRESH = (1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
"""One pass over the corpus, from seconds in a demo to hours on MS MARCO."""
