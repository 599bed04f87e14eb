from __future__ import annotations

from example_project.outside.serving import serve

serve("hooli")
