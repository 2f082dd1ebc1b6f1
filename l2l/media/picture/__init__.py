"""The pictures of a video: found by time, upright, in ordinary brightness, as JPEG."""
