"""What is compared: restorers, floors and ceilings."""
