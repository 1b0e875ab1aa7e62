"""Training samples: from the rows of a manifest to the crops that a network sees."""
