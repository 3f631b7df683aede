"""Where results become words and pages: the console, the report, comparisons and verdicts."""
