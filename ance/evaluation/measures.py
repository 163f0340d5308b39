"""Names of what is measured, and of the ranking that others are measured against."""

MEASURES = ("RR@10", "AP@10", "nDCG@10", "R@100", "R@1000")
"""Of queries with a relevant passage, named as ir-measures names them; AP@10 averaged is MAP@10."""

JUDGED, HOLES, OVERLAP = "Judged@10", "hole@10", "overlap@100"
DIAGNOSTICS = (JUDGED, HOLES, OVERLAP)
"""They say how far the measures can be trusted, not how good a ranking is."""

BM25 = "bm25"
"""The ranking of BM25 among those of a run: others have their overlap with it."""
