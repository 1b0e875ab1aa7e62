"""Train and evaluate segmentation networks on sparse annotations."""
