"""The built-in set."""
