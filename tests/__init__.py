"""Tests speak to real things; doubles are servers, never patches."""
