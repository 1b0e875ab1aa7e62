"""Figures, tables and a page about trainings, from their run folders."""
