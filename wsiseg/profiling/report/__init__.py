"""Results for people: tables, the paper's plots, Markdown and a page of HTML."""
