"""Reading and writing files: paths, images, masks, CSV, locks."""
