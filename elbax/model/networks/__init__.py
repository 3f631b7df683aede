"""Networks between data, latents and the parameters of distributions, and the maps inside."""
