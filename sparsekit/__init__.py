"""Full label maps in, sparse label maps and figures out."""
