"""Azure's management API: where it is, who asks, what is tried again, and what its refusals say to a person."""
