"""A pass, a target and a trainer as a package of your own would bring them."""
