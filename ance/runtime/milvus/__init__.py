"""Milvus, a distributed vector engine, as the keeper of indexes that are larger than one machine."""
