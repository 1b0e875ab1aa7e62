"""Drawing shared by both halves: class colours, styles, the HTML viewer."""
