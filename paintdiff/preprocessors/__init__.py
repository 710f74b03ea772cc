"""From a picture to a control map: what a ControlNet is told of it."""
