"""A finished run as one file for JAX alone."""
