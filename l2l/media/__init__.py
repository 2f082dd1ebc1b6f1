"""Video files and arrays -> clips: PyAV, numpy and PIL, neither JAX nor TensorFlow."""
