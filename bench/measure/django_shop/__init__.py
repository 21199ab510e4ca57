"""The application of Django that `django_worker` measures."""
