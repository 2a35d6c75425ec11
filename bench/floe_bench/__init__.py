"""The benchmark of Floe against its peers: corpora, tools, scenarios, a report."""
