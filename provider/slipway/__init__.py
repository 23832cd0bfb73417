"""Our own provider plugin `slipway`: the few resources that no official provider has."""

VERSION = "0.1.0"
