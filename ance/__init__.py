"""Dense retrieval trained on asynchronously refreshed ANN negatives."""

__version__ = "0.1.0"
