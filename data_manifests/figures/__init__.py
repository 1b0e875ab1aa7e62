"""Drawing that both halves share: class colours, styles, the viewer of HTML pages."""
