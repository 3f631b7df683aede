"""How every figure looks: fonts, colours, pages, and heat maps of rows."""
