"""providers/wires."""
