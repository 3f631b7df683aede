"""Families of p(x|z), elementwise: the distribution's batch shape is the datum's shape.

A family that wants several numbers an element takes them number by number: the network gives the
first of all elements, in the order of the datum, then the second. Each says in `support` what
values the data must have, which `elbax.model.support.check_support` compares.
"""
