"""The report of a benchmark, as Markdown and as a page that needs nothing else."""
