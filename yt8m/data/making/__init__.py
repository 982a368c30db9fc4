"""Records made: of one's own features (yt8m-pack), and of a synthetic world for the demo."""
