"""Every setting of a run, and the lists of choices that commands offer. Imports neither torch nor cv2."""
