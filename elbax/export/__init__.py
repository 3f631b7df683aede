"""A trained model for what runs it without JAX: ONNX files, or a PyTorch module."""
