"""Figures, tables and a page about trainings, from their run folders."""

#: The page in a report's folder.
PAGE_NAME = "index.html"
