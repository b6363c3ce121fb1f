"""Building blocks of pages; know no domain and no paper."""
