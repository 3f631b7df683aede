"""Small tables beside scikit-learn: missing cells, densities, outliers."""
