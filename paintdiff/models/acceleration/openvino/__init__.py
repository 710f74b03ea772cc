"""UNets as OpenVINO graphs, for processors."""
