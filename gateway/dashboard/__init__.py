"""The dashboard: pages over the same records, usage and keys that the API tells, for people.

A visitor signs in with an API key (`sessions`), and sees what that key sees (`visitor`). A page
(`pages`) asks its questions, and `rendering` makes HTML of the answers; nothing is fetched from
elsewhere, and no script or style stands in a page itself.
"""
