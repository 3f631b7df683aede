"""Imputers on whole tables: elbax beside means, neighbours, chained regressions and forests."""
