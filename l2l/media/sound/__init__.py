"""The sound of a video: which stream, mixed to one channel, on the picture's time line."""
