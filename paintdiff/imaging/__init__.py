"""Images, masks, tiles and sizes."""
