"""What a thread may do: sandbox policies, permission profiles and the bridge between them."""
