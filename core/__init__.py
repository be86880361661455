"""The rules: what parts are and what is done with them; knows no part by name."""
