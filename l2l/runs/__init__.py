"""The run folder: what it holds, what it is made from, what fits what."""
