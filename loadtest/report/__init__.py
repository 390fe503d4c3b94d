"""What is shown of a run: report.html, report.md, PNG plots and the terminal's tables, from report.json."""
