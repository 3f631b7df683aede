"""A trained model as one page that runs by itself: `explorer.html`."""
