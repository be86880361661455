"""The page of `selfremaster serve`: for people without a terminal."""
