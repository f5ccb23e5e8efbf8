"""A laboratory for multi-task learning: prompts, switching, weighting, and the record of each."""

__version__ = "0.1.0"
