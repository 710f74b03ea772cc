"""The subjects of the world: their rows, drawings, clothes and places."""
