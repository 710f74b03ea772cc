"""Inputs that Gradio lacks: the canvas and lists of pictures."""
