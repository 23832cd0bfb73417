"""`slipway diagnose`: its checks, and what runs them."""
