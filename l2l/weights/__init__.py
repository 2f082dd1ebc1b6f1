"""Other people's weights: files of them, names in them, how they become a run."""
