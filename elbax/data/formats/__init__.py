"""How are data stored? Each kind of file, read safely: arrays, IDX, images, tables."""
