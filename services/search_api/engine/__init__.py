"""Answering queries: admission, batches, worker threads, and the modes of a search. Knows no HTTP."""
