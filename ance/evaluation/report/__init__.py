"""The report of a run: recorded data in, the paper's tables and figures as one HTML page out."""
