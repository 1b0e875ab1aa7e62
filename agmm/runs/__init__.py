"""The run folder: checkpoints, settings, scores."""
