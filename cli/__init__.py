"""The `slipway` command: deploys, asks and removes what models.yaml lists."""
