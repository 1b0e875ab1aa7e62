"""The folder of a run: checkpoints, settings, scores."""
