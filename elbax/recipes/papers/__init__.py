"""One short file per recipe, each with a `RECIPE`; `elbax.recipes` finds them by looking here."""
