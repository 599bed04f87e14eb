from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from rest_framework.routers import SimpleRouter

from .todo import home, pages
from .todo.api import TodoViewSet, UsageView

router = SimpleRouter()
router.register("todos", TodoViewSet, basename="todo")

urlpatterns = [
    path("", home.home, name="home"),
    path("key/", home.give_key, name="give_key"),
    path("start-over/", home.start_over, name="start_over"),
    path("code/", home.code, name="code"),
    path("login/", pages.DemoLoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("todos/", pages.todos, name="todos"),
    path("todos/<uuid:pk>/done/", pages.done, name="done"),
    path("api/", include(router.urls)),
    path("api/usage/", UsageView.as_view(), name="usage"),
    path("apikeys/", include("apikeys.urls")),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("todo/icon.svg"))),
]
