"""Training samples: from the rows of a manifest to the crops that the network sees."""
