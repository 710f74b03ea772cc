"""LoRA, IP-Adapter and FreeU: applied to a pipeline and removed exactly."""
