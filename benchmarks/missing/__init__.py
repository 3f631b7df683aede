"""Cells that are missing because of their own values: elbax beside scikit-learn's imputers."""
