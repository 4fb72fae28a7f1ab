"""The documentation site: python -m sphinx -W --keep-going -b html docs out/site. Needs the extra `docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "vipe"
author = "the authors of vipe"
copyright = "the authors of vipe, Apache-2.0"  # noqa: A001

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    # In docs/_ext, an idea a file:
    "contents",
    "formulas",
    "reference",
    "repository",
]
exclude_patterns = ["_build", "_ext"]
suppress_warnings = ["myst.xref_ambiguous"]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4  # links such as query.md#modes, as on a code host
nb_execution_mode = "off"  # notebooks come executed

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False

smartquotes = False  # or --option turns into a dash

html_theme = "furo"
html_title = "vipe"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
