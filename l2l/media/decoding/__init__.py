"""The process that decodes and may die of it: what runs there, what it is asked, what it says."""
