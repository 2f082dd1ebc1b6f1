"""Rows -> shards: planned, written on all cores, finished by an index."""
