"""Code shared by several formats, and the inputs of exports and imports."""
