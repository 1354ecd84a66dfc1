"""Reading exports of any shape through mappings into canonical rows."""
