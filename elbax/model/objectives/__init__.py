"""What training minimises: one objective a file, and the terms that they are made of.

An objective sees a batch, and passes on to the model whatever mask and condition its rows have.
"""
