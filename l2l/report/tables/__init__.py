"""Tables over seeds: the paper's, ablations, trade-offs."""
