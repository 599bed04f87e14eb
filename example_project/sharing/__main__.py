from __future__ import annotations

from example_project.api_servers.serving import serve

serve("sharing")
