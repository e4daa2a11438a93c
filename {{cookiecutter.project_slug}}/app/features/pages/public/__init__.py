"""The landing page, the description of the API, and the files of the pages."""
