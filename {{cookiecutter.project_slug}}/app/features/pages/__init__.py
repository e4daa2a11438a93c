"""The pages: what people see in a browser. They call the same services as the API, and decide nothing themselves."""
