"""Pages of runs and of videos."""
