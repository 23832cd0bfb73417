"""What is particular to one type of resource: one small file each; all others are typed state."""
