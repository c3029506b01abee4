"""Tables, figures and the report page, from result rows and synthetic sets; nothing here trains."""
