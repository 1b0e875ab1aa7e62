"""The commands ``sparsekit`` and ``agmm``: words typed by a user become one library call each."""
