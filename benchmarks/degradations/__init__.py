"""How fast degradations are and what memory they take, beside other packages."""
