"""Raw video -> shards; never imports JAX."""
