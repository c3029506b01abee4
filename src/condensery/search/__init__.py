"""Architecture search with a proxy: networks ranked by how well they learn a small set (DM section 3.6)."""
