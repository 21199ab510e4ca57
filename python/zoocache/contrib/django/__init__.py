"""Django: cached functions depend on what they read through the ORM, and commits invalidate.

    INSTALLED_APPS = [..., "zoocache.contrib.django"]

    @cacheable
    def prices(product_id):
        return list(Price.objects.filter(product=product_id).values_list("amount", flat=True))

No tag is written: whatever changes a price through Django, in this process or in another that
shares the home, kills the entry when it is committed. Options are in `settings.ZOOCACHE_DATABASES`,
see `apps`; what is not stored is said in docs/DJANGO.md.
"""
