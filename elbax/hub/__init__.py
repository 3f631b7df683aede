"""Runs on the Hugging Face Hub: pushed with a card, pulled as a folder, loaded by name.

What travels is a fixed list of files, none of them a pickle, each with its SHA-256 in a manifest.
"""
