"""What is measured: one module each, all with `measure(session)` that gives a report's section."""
