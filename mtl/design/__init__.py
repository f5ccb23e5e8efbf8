"""Prompts designed from data: what the training split says of each task, and the candidates that follow from it."""
