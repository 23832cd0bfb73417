"""What a container of Azure finds around it: tokens of its identities, and blob storage that asks for them."""
