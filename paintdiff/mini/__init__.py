"""The embedded model: its procedural world, its recipe, and the judge that measures it.

`python -m paintdiff.mini --help` lists the commands that train it from nothing. Nothing here runs
when the app paints: the shipped weights are an ordinary diffusers folder under `presets/mini`.
"""
