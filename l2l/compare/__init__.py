"""Ways to choose the moments of a video, trained and measured beside each other over the same features."""
