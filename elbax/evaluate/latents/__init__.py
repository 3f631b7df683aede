"""What do the latents hold? Which are used, what they share, what can be read from them."""
