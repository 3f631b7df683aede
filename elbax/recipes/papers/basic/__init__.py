"""The plain VAE, with perceptrons and with convolutions."""
