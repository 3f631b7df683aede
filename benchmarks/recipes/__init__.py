"""Every recipe, trained on the data it is meant for, in one table: docs/recipes.md."""
