"""Provider plugins of our own: the protocol once, for the stand-ins now and for resources of our own later."""
