"""The life of a run folder: settle the options, train, resume, measure, use what was trained."""
