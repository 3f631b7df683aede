"""One file per rival: each is a process of its own that runs training steps when asked."""
