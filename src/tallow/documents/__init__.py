"""Documents: pictures and PDFs to words and tables, and those to spreadsheets (ADR 25)."""
