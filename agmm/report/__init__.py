"""Figures, tables and an HTML page about runs."""

#: File name of the page in a report's folder.
PAGE_NAME = "index.html"
