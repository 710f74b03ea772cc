"""Rows of data: families, models, adapters, ControlNets, upscalers, samplers, profiles."""
