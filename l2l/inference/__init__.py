"""Whole videos through a finished run or an exported one, without TensorFlow."""
