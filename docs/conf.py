"""Sphinx configuration: one built-in theme, no extension, no network."""

from nirbridge import __version__

project = "nirbridge"
author = "The nirbridge developers"
project_copyright = author
release = version = __version__
extensions: list[str] = []
html_theme = "alabaster"
html_theme_options = {"description": "One spiking network, one file, every target", "page_width": "1000px"}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_sourcelink = False
default_role = "literal"
nitpicky = True
