"""Writers: XLSX, CSV, HTML, Markdown, JSON and Parquet of documents."""
