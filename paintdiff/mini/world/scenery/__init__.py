"""The sceneries of the world and what paints them: sky, light, weather, land, water."""
