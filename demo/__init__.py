"""The demonstration: a province's hub and four platforms around it, with their data and declarations."""
