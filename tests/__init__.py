"""The tests of the template; those of the service are in the template folder."""
