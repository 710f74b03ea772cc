"""Loading: from folders, single files and converted pickles to the components of a pipeline."""
