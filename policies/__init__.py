"""The policy pack: what a platform team lets nobody deploy. `rules/` holds it, without anything of Pulumi's."""
