"""The guard around every route: who may send what, how much of it, and how long it may take."""
