"""What figures share: fonts, colours and pages, heat maps of rows, grids over latents."""
