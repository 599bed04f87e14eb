from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from apikeys.authority.urls import metadata_urlpatterns

from .todo import home, pages, roles
from .todo.api import ProfileView, TodoViewSet, UsageView
from .todo.docs import DocsView

router = SimpleRouter()
router.register("todos", TodoViewSet, basename="todo")

urlpatterns = [
    path("", home.home, name="home"),
    path("key/", home.give_key, name="give_key"),
    path("start-over/", home.start_over, name="start_over"),
    path("role/", roles.switch, name="switch_role"),
    path("code/", home.code, name="code"),
    path("login/", pages.DemoLoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("todos/", pages.todos, name="todos"),
    path("todos/<uuid:pk>/done/", pages.done, name="done"),
    path("api/", include(router.urls)),
    path("api/usage/", UsageView.as_view(), name="usage"),
    path("api/profile/", ProfileView.as_view(), name="profile"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="docs"),
    *metadata_urlpatterns,
    path("o/", include("apikeys.oauth.urls")),
    path("authority/", include("apikeys.authority.urls")),
    path("apikeys/", include("apikeys.urls")),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("todo/icon.svg"))),
]
