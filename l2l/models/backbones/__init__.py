"""Networks that see or hear one clip."""
