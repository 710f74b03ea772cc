"""Preprocessors: from a picture to the control map that a ControlNet follows."""
