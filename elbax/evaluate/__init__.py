"""How good is it? Bounds, with their uncertainty, and what the latents hold."""

from elbax.evaluate.bounds import ElboEstimate as ElboEstimate
from elbax.evaluate.bounds import Mean as Mean
from elbax.evaluate.bounds import elbo as elbo
from elbax.evaluate.bounds import mean as mean
from elbax.evaluate.latents import active as active
from elbax.evaluate.latents import posterior_moments as posterior_moments
from elbax.evaluate.tiles import map_rows as map_rows
