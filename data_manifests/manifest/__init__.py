"""The manifest: its columns, reading, writing, checking, deriving."""
