"""What turns of one task do to another: as a table, as CSV and as a page."""
