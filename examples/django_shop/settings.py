"""A shop on Django: products that everybody sees, a basket for each customer.

Needs zoocache[django]. Usage, in examples/django_shop:

    export SHOP_DATABASE=shop.sqlite
    python manage.py migrate
    python manage.py runserver

    GET  /products            all of them
    GET  /products/3          one
    PUT  /products/3?price=5  changes it
    GET  /basket              the basket of the customer whom the header X-Customer names
    PUT  /basket/3?count=2    puts something into it
    GET  /loads               how often each cached function ran in this process

No tag is written: see shop/views.py. SHOP_CACHE=lmdb:///path/of/a/folder lets several processes
share values and invalidations; ZOOCACHE_OFF=1 leaves the cache out.
"""

import os

import zoocache

INSTALLED_APPS = ["shop"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite"),
    }
}
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "wsgi.application"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SECRET_KEY = "of no use here: nothing is signed"

if "ZOOCACHE_OFF" not in os.environ:
    INSTALLED_APPS += ["zoocache.contrib.django"]
    ZOOCACHE_DATABASES = {"default": {"alias": "shop"}}
    zoocache.configure(storage_url=os.environ.get("SHOP_CACHE"))
