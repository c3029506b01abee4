"""Architecture search with proxies: networks are ranked by their accuracy on a small set (DM section 3.6)."""
