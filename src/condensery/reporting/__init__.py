"""Tables, figures and the report page, made from result rows and synthetic sets; nothing here trains."""
