"""What people type and choose on the pages, checked. Nothing here changes a row."""
