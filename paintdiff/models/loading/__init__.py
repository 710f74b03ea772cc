"""From files to the parts of a pipeline: folders, single files, converted pickles."""
