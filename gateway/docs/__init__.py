"""The API told by the gateway itself: `/openapi.json` for programs, `/docs` for people."""
