"""Files, folders, globs and pipes to pages: pictures, TIFF, HEIC and PDF."""
