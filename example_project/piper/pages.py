from __future__ import annotations

from example_project.outside.pages import FILES

from . import analytics, watch, web

urlpatterns = [*web.urlpatterns, *watch.urlpatterns, *analytics.urlpatterns, *FILES]
