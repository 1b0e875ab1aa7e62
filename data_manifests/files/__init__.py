"""Reading and writing files: paths, images, CSV, locks."""
