"""Provider plugins for machines that cannot download the official ones: the same types over the real engines."""
