"""Pages of PDF files by their objects: words, rulings and fills of the text layer."""
